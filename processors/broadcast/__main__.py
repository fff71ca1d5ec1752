"""`python -m songline.processors.broadcast`: the broadcaster of songs."""

from songline.cloud.extras import start

if __name__ == "__main__":
    start("songline.processors.broadcast.process", "workers")
