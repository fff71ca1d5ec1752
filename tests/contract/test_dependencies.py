"""What the product's own environment has: nothing that only localcloud needs."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dependencies.md").read_text()


def locked(name: str) -> set[str]:
    """The packages that requirements/NAME.txt pins."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return set(re.findall(r"^([a-z0-9.-]+)==", text, re.MULTILINE))


def declared(project: Path) -> set[str]:
    dependencies: list[str] = tomllib.loads(project.read_text())["project"]["dependencies"]
    return {re.split(r"[^A-Za-z0-9.-]", line)[0].lower() for line in dependencies}


@pytest.mark.parametrize("package", ["crc32c", "defusedxml", "joserfc", "kio", "lark", "mmh3"])
def test_what_only_localcloud_needs_is_not_in_production(package: str) -> None:
    assert package not in locked("run")
    assert package in locked("local")
    assert package in declared(ROOT / "packages" / "localcloud" / "pyproject.toml")


def test_a_certificate_is_made_by_localcloud_alone() -> None:
    """The workers encrypt with cryptography; what publishes events asks for none."""
    assert "cryptography" not in declared(ROOT / "pyproject.toml")


def test_one_machine_has_all_of_production_and_development_all_of_one_machine() -> None:
    assert locked("run") < locked("local") < locked("dev")


def test_the_page_names_the_extras_of_each_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own = {"songline-music", "localcloud-azure"}
    needed: dict[str, set[str]] = {}
    for extra, lines in extras.items():
        for name in {re.split(r"[^A-Za-z0-9.-]", line)[0] for line in lines} - own:
            needed.setdefault(name, set()).add(extra)
    table = PAGE.partition("\n| package | extra | why |\n")[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[1:]]
    assert {name: set(row[1].split(", ")) for row in rows for name in row[0].split(", ")} == needed


def test_the_page_names_what_development_needs() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    told = PAGE.partition("\nDevelopment: ")[2].partition("\n\n")[0].lower()
    tools = {name.removeprefix("pytest-") for name in groups["dev"] if not name.startswith("types-")}
    assert {name for name in tools if name not in told} == set()
