"""Documents that were stored before facts had users and claims go on as they are."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from songline.processors.catalog.fold import apply_facts, fact_of
from songline.schemas.envelope import Event
from songline.schemas.songs import SongDocument
from tests.support.ownership import removed, uploaded

STORED = {
    document.id: document
    for document in msgspec.json.decode(
        (Path(__file__).parent / "stored_without_owners.json").read_bytes(), type=list[SongDocument]
    )
}
LATER = datetime(2026, 11, 29, tzinfo=UTC)


def after(document: SongDocument, partition: str, position: int, event: Event) -> SongDocument:
    return apply_facts(document, document.id, partition, [fact_of(event, position, LATER)])


@pytest.mark.parametrize(
    ("song_id", "owner", "title"),
    [
        ("available", "user-3", "Paper Lanterns"),
        ("gone", None, None),
        # Two users had uploaded it: the earlier event is the owner's.
        ("contested", "user-3", "Paper Lanterns"),
        # Who removed it is not known, so it counts as the owner.
        ("hidden", "user-3", None),
    ],
)
def test_they_are_read(song_id: str, owner: str | None, title: str | None) -> None:
    document = STORED[song_id]
    assert document.latest is not None
    assert (document.owner, document.song and document.song.title) == (owner, title)


@pytest.mark.parametrize("partition", ["0", "2", "9"])
@pytest.mark.parametrize("song_id", list(STORED))
def test_no_stranger_changes_what_they_show(song_id: str, partition: str) -> None:
    document = STORED[song_id]
    for number, event in enumerate((uploaded("user-9", "Stolen", LATER), removed("user-9", LATER))):
        document = after(document, partition, 100 + number, event)
        assert (document.song, document.owner) == (STORED[song_id].song, STORED[song_id].owner)
    stored = msgspec.json.decode(msgspec.json.encode(document), type=SongDocument)
    assert stored.all_facts == document.all_facts


@pytest.mark.parametrize("partition", ["2", "0", "9"])
def test_the_owner_goes_on(partition: str) -> None:
    document = after(STORED["available"], partition, 100, uploaded("user-3", "New", LATER))
    assert document.song is not None
    assert document.song.title == "New"
    gone = after(document, partition, 101, removed("user-3", LATER + timedelta(hours=1)))
    assert (gone.song, gone.owner, gone.order) == (None, "user-3", None)


def test_what_was_read_before_changes_nothing_when_it_is_read_again() -> None:
    first = datetime(2026, 11, 22, 12, tzinfo=UTC)
    document = STORED["available"]
    assert document.song is not None
    event = uploaded("user-3", document.song.title, first)
    assert after(document, "2", 7, event) is document
    again = after(STORED["gone"], "1", 3, uploaded("user-3", "Paper Lanterns", first))
    again = after(again, "1", 9, removed("user-3", first + timedelta(hours=1)))
    assert again.latest is not None
    assert again.song is None
