"""`python -m songline.processors.trending`: the trending worker."""

from songline.cloud.extras import start

if __name__ == "__main__":
    start("songline.processors.trending.process", "workers")
