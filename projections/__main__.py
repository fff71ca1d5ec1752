"""`python -m songline.projections`: serve the read API."""

from songline.cloud.extras import start

if __name__ == "__main__":
    start("songline.projections.process", "api")
