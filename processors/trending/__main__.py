"""`python -m songline.processors.trending`: the trending worker."""

from songline.cloud.extras import start
from songline.processors.runtime.allocator import share_heap

if __name__ == "__main__":
    share_heap()
    start("songline.processors.trending.process", "workers")
