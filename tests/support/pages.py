"""The pages of the product, and the examples that stand in them."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")])
"""Decisions are history, and localcloud's pages are its own: neither is here."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n)+")
_SPAN = re.compile(r"`([^`\n]+)`")


class Example(Struct, frozen=True):
    """A block of a page, or a shell command of one, and the `line` it begins at. An indented one has no `language`."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def blocks() -> tuple[Example, ...]:
    """Every fenced or indented block, page by page."""
    return tuple(block for page in PAGES for block in _blocks(page.relative_to(ROOT).as_posix(), page.read_text()))


def _blocks(page: str, text: str) -> Iterator[Example]:
    def line(at: int) -> int:
        return text.count("\n", 0, at) + 1

    for found in _FENCE.finditer(text):
        yield Example(page, line(found.start()) + 1, found[1], found[2])
    # Blanked and not removed, so that the numbers of lines hold.
    rest = _FENCE.sub(lambda found: re.sub(r"[^\n]", "", found[0]), text)
    for found in _INDENTED.finditer(rest):
        yield Example(page, line(found.start()), "", re.sub("^ {4}", "", found[0], flags=re.MULTILINE))


def commands() -> Iterator[Example]:
    """Each shell command of the blocks, with the lines that it goes on over."""
    for block in blocks():
        if block.language in {"sh", "console", ""}:
            yield from _commands(block)


def _commands(block: Example) -> Iterator[Example]:
    waiting = ""
    for number, line in enumerate(block.text.splitlines(), block.line):
        if not waiting:
            if block.language == "console" and not line.startswith("$ "):
                continue
            start = number
        waiting += line.removeprefix("$ ") + "\n"
        if waiting.endswith("\\\n") or _is_open(waiting):
            continue
        if waiting.strip() and not waiting.startswith("#"):
            yield Example(block.page, start, block.language, waiting.strip())
        waiting = ""


def _is_open(text: str) -> bool:
    """Whether a quotation mark of a shell command has not found its end."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    return bool(re.search(r"(?<!\S)[^#]*['\"]", bare.split(" #")[0]))


def outputs() -> Iterator[tuple[Example, str]]:
    """Each command of the `console` blocks with what it prints."""
    for block in blocks():
        if block.language == "console":
            found = list(_commands(block))
            lines = block.text.splitlines()
            ends = [command.line - block.line for command in found[1:]] + [len(lines)]
            for command, end in zip(found, ends, strict=True):
                begin = command.line - block.line + command.text.count("\n") + 1
                yield command, "\n".join(lines[begin:end])


def spans() -> Iterator[tuple[str, str]]:
    """Each page with each piece of code that stands in its sentences."""
    for page in PAGES:
        for found in _SPAN.finditer(_FENCE.sub("", page.read_text())):
            yield page.relative_to(ROOT).as_posix(), found[1]
