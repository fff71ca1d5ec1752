"""`python -m songline.processors.history.as_of`: answer one question about a moment of the past."""

from songline.cloud.extras import start

if __name__ == "__main__":
    start("songline.processors.history.as_of.process", "history")
