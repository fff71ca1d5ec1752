"""The command `songline`, also as `python -m songline`."""

from songline.cloud.extras import start


def main() -> None:
    """Run the command. Without the extra `cli` the process ends with one line that names it."""
    start("songline.cli", "cli")


if __name__ == "__main__":
    main()
