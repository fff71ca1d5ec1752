"""A library in the terminal."""

from io import StringIO

from msgspec import structs
from rich.console import Console, RenderableType

from songline.commands import library
from songline.schemas import examples


def printed(shown: RenderableType) -> str:
    console = Console(width=160, file=StringIO())
    console.print(shown)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_an_entry_is_a_line_with_what_he_did() -> None:
    text = printed(library.page(examples.LIBRARY))
    assert "Paper Lanterns — Nova Reed" in text
    assert "36:48" in text
    assert f"more: --cursor {examples.LIBRARY.next}" in text


def test_an_empty_library_says_so_and_how_fresh_that_is() -> None:
    text = printed(library.page(structs.replace(examples.LIBRARY, entries=[], next=None)))
    assert "no songs" in text
    assert "complete through 2026-11-22 14:00:00 UTC" in text
    assert "cursor" not in text


def test_titles_reach_the_terminal_as_text_only() -> None:
    entry = structs.replace(examples.LIBRARY.entries[0], title="[red]\x1b[31m")
    text = printed(library.page(structs.replace(examples.LIBRARY, entries=[entry])))
    assert "\x1b" not in text
    assert "[red]" in text


def test_listens_and_the_sum() -> None:
    assert "2026-11-22 14:00:00" in printed(library.listens(examples.RECENT))
    assert library.in_sum(examples.LIBRARY_SUMMARY) == (
        "user-7: 3,402 listens to 388 songs in 178.1 h, 57 liked, 0 uploaded"
    )
