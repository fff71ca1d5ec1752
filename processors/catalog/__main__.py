"""`python -m songline.processors.catalog`: the catalog worker."""

from songline.cloud.extras import start
from songline.processors.runtime.allocator import map_large, share_heap

if __name__ == "__main__":
    share_heap()
    map_large()
    start("songline.processors.catalog.process", "workers")
