"""`python -m songline.deployment.publish` writes `infra/azure/declaration.json`, which Bicep reads."""

from pathlib import Path

from songline.deployment.declaration import encoded

DECLARATION = Path(__file__).parents[2] / "infra" / "azure" / "declaration.json"


def main() -> None:
    """Write the file again."""
    DECLARATION.write_text(encoded(), encoding="utf-8")


if __name__ == "__main__":
    main()
