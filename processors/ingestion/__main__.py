"""`python -m songline.processors.ingestion`: the ingestion worker."""

from songline.cloud.extras import start

if __name__ == "__main__":
    start("songline.processors.ingestion.process", "workers")
