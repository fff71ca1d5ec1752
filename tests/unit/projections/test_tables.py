"""Tables for spreadsheets, in which other people's titles must not run."""

import csv
import io
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from songline.projections.http import tables
from songline.projections.http.negotiation import CSV, PARQUET
from songline.schemas import examples
from songline.schemas.documents import Chart
from songline.schemas.plays import HourPlays, SongPlays

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "=",
    '=HYPERLINK("http://evil.example";"x")',
    "\uff1d1",
    "=cmd|' /C calc'!A0",
]
HARMLESS = ["Low Tide", "1+1", "a=b", "'quoted", "", " ", "<=>", "100 %", 'A "title", =1+1', "nø-mal"]


def chart(title: str, artist: str | None = None) -> Chart:
    (entry,) = examples.CHART.entries
    return structs.replace(examples.CHART, entries=[structs.replace(entry, title=title, artist=artist or title)])


def cells(made: pl.DataFrame) -> dict[str, str]:
    (row,) = csv.DictReader(io.StringIO(tables.written(made, CSV).decode(), newline=""))
    return row


@pytest.mark.parametrize("title", FORMULAS)
def test_what_would_run_has_an_apostrophe_before_it(title: str) -> None:
    row = cells(tables.table([chart(title)]))
    assert (row["title"], row["artist"]) == (f"'{title}", f"'{title}")


@pytest.mark.parametrize("title", HARMLESS)
def test_what_would_not_stays_as_it_is(title: str) -> None:
    assert cells(tables.table([chart(title, "Mira")]))["title"] == title


@pytest.mark.parametrize("title", FORMULAS)
def test_parquet_holds_what_was_said(title: str) -> None:
    file = tables.written(tables.table([chart(title)]), PARQUET)
    assert pl.read_parquet(io.BytesIO(file))["title"].to_list() == [title]


def test_a_songs_hours_are_guarded_too() -> None:
    hour = HourPlays(hour=NOON, listens=1, likes=0, unlikes=0, counting=False)
    plays = SongPlays(song_id="-1", hours=(hour,), as_of=NOON, complete_through=NOON, position={})
    assert cells(tables.hours(plays))["songId"] == "'-1"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_no_cell_begins_like_a_formula(title: str) -> None:
    found = cells(tables.table([chart(title)]))["title"]
    assert found in (title, f"'{title}")
    assert found.lstrip(" \t\r\n")[:1] not in tuple("=+-@\uff1d\uff0b\uff0d\uff20")
    assert found[:1] not in ("\t", "\r", "\n")
