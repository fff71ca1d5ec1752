"""The chart in the terminal."""

from datetime import timedelta

import pytest
from msgspec import structs
from rich.console import Console

from songline.commands import chart
from songline.schemas import examples
from songline.schemas.documents import Chart

ENTRY = examples.CHART.entries[0]
NOW = examples.CHART.as_of + timedelta(seconds=2)


def printed(shown: Chart, width: int = 100) -> str:
    console = Console(width=width, force_terminal=False, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(chart.page(shown, NOW))
    return capture.get()


@pytest.mark.parametrize(
    ("rank", "previous", "expected"), [(1, None, "new"), (1, 3, "▲2"), (3, 1, "▼2"), (4, 4, "="), (1, 100, "▲99")]
)
def test_movement(rank: int, previous: int | None, expected: str) -> None:
    assert chart.movement(structs.replace(ENTRY, rank=rank, previous_rank=previous), compared=True).plain == expected


def test_nothing_is_new_before_there_is_something_to_compare_with() -> None:
    newcomer = structs.replace(ENTRY, previous_rank=None)
    assert "new" in printed(structs.replace(examples.CHART, entries=[newcomer]))
    assert "new" not in printed(structs.replace(examples.CHART, entries=[newcomer], compared_with=None))


def test_a_page_shows_what_the_chart_says_and_how_fresh_it_is() -> None:
    text = printed(examples.CHART)
    for part in ("top · last 1h · global", "▲2", "Paper Lanterns — Nova Reed", "812", "31", "812.0"):
        assert part in text
    assert "as of 2026-11-22 14:00:01 UTC (2 s ago), complete through 14:00:00 UTC, 4,833 events, policy v1" in text


def test_a_song_whose_upload_is_not_known_is_shown_by_its_id() -> None:
    assert chart.song(structs.replace(ENTRY, title=None, artist=None)).plain == "song-42"


def test_a_title_is_text_and_nothing_else() -> None:
    text = printed(structs.replace(examples.CHART, entries=[structs.replace(ENTRY, title="[red]\x1b[31m\r\nx")]))
    assert "[red]\ufffd[31m\ufffd\ufffdx — Nova Reed" in text


@pytest.mark.parametrize("width", [60, 200])
def test_a_long_title_takes_no_room_from_the_numbers(width: int) -> None:
    text = printed(structs.replace(examples.CHART, entries=[structs.replace(ENTRY, title="Lantern " * 37)]), width)
    assert "812" in text
    assert "▲2" in text
    assert all(len(line) <= width for line in text.splitlines())


def test_an_empty_chart_says_so() -> None:
    empty = structs.replace(examples.CHART, entries=[], complete_through=None, position={})
    text = printed(empty)
    assert "no listens or likes in this time" in text
    assert "complete through nothing yet, 0 events" in text
