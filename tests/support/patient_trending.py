"""The trending worker, whose shards wait for an hour for its whole first minute: a busy machine takes its time."""

from songline.processors.trending.process import main
from songline.processors.trending.shards import hour_alignment
from songline.processors.trending.spans import MINUTE_MS

if __name__ == "__main__":
    hour_alignment.HOLD_MS = MINUTE_MS
    main()
