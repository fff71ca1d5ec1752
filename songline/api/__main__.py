"""`python -m songline.api`: serve the whole API."""

from songline.cloud.extras import start

if __name__ == "__main__":
    start("songline.api.app", "api")
