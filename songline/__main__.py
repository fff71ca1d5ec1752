"""`songline`, also as `python -m songline`: the command."""

from songline.cloud.extras import start


def main() -> None:
    """Run the command; ends with one line where the extra `cli` is missing."""
    start("songline.cli", "cli")


if __name__ == "__main__":
    main()
