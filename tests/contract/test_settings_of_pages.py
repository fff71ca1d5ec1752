"""Settings that pages name are read by the code, and those that the code reads are named in docs/operations.md."""

import ast
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from songline.processors.history.erasure.config import ErasureConfig
from songline.processors.ingestion.config import IngestionConfig
from songline.processors.library.config import LibraryConfig
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.trending.config import TrendingConfig
from tests.support.pages import PAGES, ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SETTING = re.compile(r"\b(?:SONGLINE|AZURE)_[A-Z_]*[A-Z]\b")


class _Recorder(dict[str, str]):
    """An empty environment that keeps the names that are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
        self.asked.add(key)
        return default


def _asked(*reads: Callable[[Mapping[str, str]], object]) -> set[str]:
    recorder = _Recorder()
    for read in reads:
        read(recorder)
    return recorder.asked


CATALOG, LIBRARY = "SONGLINE_CATALOG_", "SONGLINE_LIBRARY_"
WORKERS = {
    "SONGLINE_TRENDING_": _asked(TrendingConfig.read),
    CATALOG: _asked(lambda environ: ProjectionConfig.read(environ, CATALOG, 1.0)),
    LIBRARY: _asked(lambda environ: ProjectionConfig.read(environ, LIBRARY, 1.0), LibraryConfig.read),
    "SONGLINE_BROADCAST_": _asked(lambda environ: ProjectionConfig.read(environ, "SONGLINE_BROADCAST_", 1.0)),
    "SONGLINE_INGESTION_": _asked(IngestionConfig.read),
    "SONGLINE_ERASURE_": _asked(ErasureConfig.read),
}
"""The settings of each worker by their prefix."""


def _texts(*patterns: str) -> list[str]:
    """The texts of files; the links below `songline/` are not followed, and npm's packages are left out."""
    return [
        path.read_text()
        for pattern in patterns
        for path in sorted(ROOT.glob(pattern))
        if not path.is_symlink() and "node_modules" not in path.parts
    ]


def _constants() -> set[str]:
    """Names of settings that stand in the product's code as a text of their own."""
    folders = ("cloud", "processors", "producers", "projections", "schemas", "songline")
    return {
        node.value
        for text in _texts(*(f"{folder}/**/*.py" for folder in folders))
        # Each process of a run comes through here: only what names one is parsed.
        if SETTING.search(text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SETTING.fullmatch(node.value)
    }


CONSTANTS = _constants()


def test_settings_were_found() -> None:
    assert {"SONGLINE_OUTBOX", "AZURE_COSMOS_CONNECTIONSTRING", "SONGLINE_PROXIES"} <= CONSTANTS
    assert "SONGLINE_LIBRARY_ROOM" in WORKERS["SONGLINE_LIBRARY_"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_setting_that_a_page_names_is_there(page: Path) -> None:
    named = set(SETTING.findall(page.read_text()))
    assert named <= CONSTANTS.union(_beside(), *WORKERS.values())


@cache
def _beside() -> frozenset[str]:
    """What else may name a setting than the product's code."""
    texts = _texts("tests/**/*.py", "*.yml", "infra/azure/*.json", "Makefile", ".env.example")
    return frozenset(name for text in texts for name in SETTING.findall(text))


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_a_setting_of_the_product_is_named_for_operators(name: str) -> None:
    assert f"`{name}`" in OPERATIONS


@pytest.mark.parametrize(("prefix", "names"), WORKERS.items())
def test_a_worker_s_settings_are_named_for_operators(prefix: str, names: set[str]) -> None:
    row = re.search(rf"^\| `{prefix}` \| (.+?) \|", OPERATIONS, re.MULTILINE)
    assert row, f"docs/operations.md has no row for `{prefix}`"
    assert {prefix + name for name in re.findall(r"`([A-Z_]+)`", row[1])} == names


@pytest.mark.parametrize("prefix", WORKERS)
def test_the_page_that_operators_are_sent_to_tells_of_a_worker_s_settings(prefix: str) -> None:
    row = re.search(rf"^\| `{prefix}` \| .+? \| \[([\w.]+)\]", OPERATIONS, re.MULTILINE)
    assert row
    assert prefix in (ROOT / "docs" / row[1]).read_text()
