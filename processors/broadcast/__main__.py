"""`python -m songline.processors.broadcast`: the broadcaster of songs."""

from songline.cloud.extras import start
from songline.processors.runtime.allocator import map_large, share_heap

if __name__ == "__main__":
    share_heap()
    map_large()
    start("songline.processors.broadcast.process", "workers")
