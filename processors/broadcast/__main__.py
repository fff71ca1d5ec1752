"""`python -m songline.processors.broadcast`: the broadcaster of songs."""

from songline.cloud.extras import start
from songline.processors.runtime.allocator import bound_heap

if __name__ == "__main__":
    bound_heap()
    start("songline.processors.broadcast.process", "workers")
