"""`python -m songline.processors.library`: the library worker."""

from songline.cloud.extras import start

if __name__ == "__main__":
    start("songline.processors.library.process", "workers")
