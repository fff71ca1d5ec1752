"""Pages name files, folders and classes that exist."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("packages/*/*.md"),
        *ROOT.glob("packages/*/docs/**/*.md"),
    )
    # History: what a record or a release says is of its day.
    if "decisions" not in path.parts and path.name != "CHANGELOG.md"
]
FOLDERS = (
    "bench|cloud|docs|findings|infra|packages|processors|producers|projections|requirements|schemas|songline|tests"
)
NAMED = re.compile(rf"(?<![\w./-])((?:{FOLDERS})/[\w./*-]*\w/?)")
MODULE = re.compile(r"`((?:\w+/)*\w+\.py)`")
LINKED = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def home(page: Path) -> Path:
    """The folder whose files a page names: its distribution's, or the repository."""
    parts = page.relative_to(ROOT).parts
    return ROOT / "packages" / parts[1] if parts[0] == "packages" else ROOT


@cache
def modules() -> frozenset[str]:
    return frozenset(
        f"/{path.relative_to(ROOT)}"
        for folder in FOLDERS.split("|")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    )


def _is_tail(name: str) -> bool:
    """Whether a module of the repository is found under the last folders of its path."""
    return any(module.endswith(f"/{name}") for module in modules())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    prose = re.sub(r"https?://\S+", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    missing = [name for name in NAMED.findall(prose) if not any(home(page).glob(name.rstrip("/")))]
    missing += [name for name in MODULE.findall(prose) if not _is_tail(name)]
    missing += [link for link in LINKED.findall(text) if not (page.parent / link).exists()]
    assert not missing


CLASS = re.compile(r"`(?:[\w.]+\.)?([A-Z][a-z]+(?:[A-Z][a-z0-9]*)+)(?:\([^`]*\))?`")
DEFINED = re.compile(r"^ *(?:class (?=\w+[(:])|(?=\w+: ))([A-Z]\w+)", re.MULTILINE)
FOREIGN = {"AppendTime", "CreateTime", "EventSource"}
"""Names of Kafka's settings and of browsers, which have the form of a class name."""


@cache
def classes() -> frozenset[str]:
    """The names of classes, and of what a module assigns (type aliases), in the product's code."""
    product = (ROOT / module[1:] for module in modules() if not module.startswith("/tests/"))
    return frozenset(name for module in product for name in DEFINED.findall(module.read_text()))


@pytest.mark.parametrize("page", [page for page in PAGES if "packages" not in page.parts], ids=lambda page: page.name)
def test_a_class_that_a_page_names_is_there(page: Path) -> None:
    assert set(CLASS.findall(page.read_text())) <= classes() | FOREIGN


@pytest.mark.parametrize("folder", ["processors", "producers", "projections", "songline"])
def test_the_map_names_each_folder_of_the_code(folder: str) -> None:
    row = re.search(rf"^\| `{folder}/` \|.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert row
    inner = {path.parent for path in (ROOT / folder).glob("*/__init__.py")}
    assert {path.name for path in inner if not path.is_symlink()} <= set(re.findall(r"`(\w+)/`", row[0]))


@pytest.mark.parametrize("stage", ["cells", "shards", "merge", "plays"])
def test_the_page_on_charts_names_each_module_of_a_stage(stage: str) -> None:
    row = re.search(rf"^\| `{stage}/` \|.*$", (ROOT / "docs" / "trending.md").read_text(), re.MULTILINE)
    assert row
    there = {path.name for path in (ROOT / "processors" / "trending" / stage).glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"`(\w+\.py)`", row[0])) == there


def test_what_history_and_benchmarks_link_to_is_there() -> None:
    pages = ("CHANGELOG.md", "packages/*/CHANGELOG.md", "docs/decisions/*.md", "bench/*.md")
    missing = [
        f"{page.relative_to(ROOT)}: {link}"
        for pattern in pages
        for page in ROOT.glob(pattern)
        for link in LINKED.findall(page.read_text())
        if not (page.parent / link).exists()
    ]
    assert not missing
