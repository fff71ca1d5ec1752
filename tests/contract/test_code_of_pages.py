"""Python and JSON that pages show: code passes mypy strict and runs, JSON is what the contracts say it is."""

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from songline.cloud import kafka
from songline.cloud.settings import read_eventhubs
from songline.schemas.channels import CATALOG
from songline.schemas.envelope import decode
from songline.schemas.library.node import NodeDocument, RootDocument
from songline.schemas.songs import SongDocument
from tests.support import pages
from tests.support.localcloud import LocalCloud
from tests.support.pages import ROOT, Example

DOCUMENTS = {"root": RootDocument, "node": NodeDocument, "facts": SongDocument}


def programs() -> dict[str, str]:
    """The Python of each page as one program: a block may use what those before it have defined."""
    found: dict[str, str] = {}
    for block in pages.blocks():
        if block.language == "python":
            found[block.page] = found.get(block.page, "") + block.text + "\n"
    return found


def module(program: str) -> str:
    """The program as a module; where it has an `await` at its top, within a function that asyncio runs."""
    try:
        compile(program, "page", "exec")
    except SyntaxError:
        body = textwrap.indent(program, "    ")
        return f"import asyncio\n\n\nasync def example() -> None:\n{body}\n\nasyncio.run(example())\n"
    return program


def test_python_passes_mypy_strict(tmp_path: Path) -> None:
    for page, program in programs().items():
        (tmp_path / f"{Path(page).stem}_page.py").write_text(module(program))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, tmp_path.iterdir())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def environment(shared_localcloud: LocalCloud) -> dict[str, str]:
    """The settings of a localcloud whose hub `catalog` has a song."""

    async def put_a_song() -> None:
        async with kafka.producer(read_eventhubs(shared_localcloud.environment)) as producer:
            await producer.send_and_wait(CATALOG, b'{"id": "song-42"}', key=b"song-42")

    asyncio.run(put_a_song())
    return dict(shared_localcloud.environment)


PUBLISHING = {"README.md", "docs/publishing.md"}
"""tests/integration/producers/test_doc_examples.py runs these, and looks for the events that they publish."""


@pytest.mark.parametrize("page", sorted(programs().keys() - PUBLISHING))
def test_python_runs(page: str, environment: dict[str, str], tmp_path: Path) -> None:
    """It ends without an error, or says something and goes on until it is ended."""
    script = tmp_path / "example.py"
    script.write_text(module(programs()[page]))
    with subprocess.Popen(
        [sys.executable, "-u", str(script)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline()
        if said:
            process.kill()
        else:
            assert process.wait(timeout=60) == 0, f"{page}: {process.stderr.read()}"


def objects() -> Iterator[tuple[Example, Any]]:
    """Each JSON value of the blocks in JSON; a block of several lines may have one on each."""
    for block in pages.blocks():
        if block.language == "json":
            rest = block.text.strip()
            while rest:
                value, end = json.JSONDecoder().raw_decode(rest)
                yield block, value
                rest = rest[end:].strip()


@pytest.mark.parametrize(("block", "value"), list(objects()), ids=lambda part: str(part)[:40])
def test_json_keeps_to_its_contract(block: Example, value: Any) -> None:
    if "specversion" in value:
        assert decode(json.dumps(value).encode()).id == value["id"]
    else:
        kind = "facts" if "facts" in value else "node" if "received" in value else value["id"]
        document = msgspec.convert(value, DOCUMENTS[kind])
        assert msgspec.to_builtins(document).keys() == value.keys()
