"""`python -m songline.processors.catalog`: the catalog worker."""

from songline.cloud.extras import start

if __name__ == "__main__":
    start("songline.processors.catalog.process", "workers")
