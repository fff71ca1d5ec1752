"""The Python of docs/publishing.md and the README does what these pages say, over the real SDK."""

import ast
import inspect
import re
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from songline.schemas.envelope import decode
from tests.integration.producers.reading import read_all
from tests.support.localcloud import LocalCloud

ROOT = Path(__file__).parents[3]
PAGES = {"docs/publishing.md": "0193f0a8-7c1e-7b7a-9c56-0d2d3f1f8a11", "README.md": "like-1"}
"""Pages, and the id of the event that their examples publish."""


def examples(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


async def run(code: str, page: str, names: dict[str, Any]) -> None:
    compiled = compile(code, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = FunctionType(compiled, names)()
    if inspect.isawaitable(running):
        await running


@pytest.mark.parametrize("page", PAGES)
async def test_the_examples_of_a_page_publish(
    page: str, shared_localcloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in shared_localcloud.environment.items():
        monkeypatch.setenv(name, value)
    found = examples(page)
    assert found
    assert all("from songline." not in code for code in found), "a service imports from `songline` alone"
    names: dict[str, Any] = {}
    for code in found:
        await run(code, page, names)
    assert names.get("where", "sent") in ("sent", "kept")
    there = {decode(value).id for partition in await read_all(shared_localcloud) for _, value in partition}
    assert PAGES[page] in there
