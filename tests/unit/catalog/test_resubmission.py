"""Facts of songs that are sent again after they had been parked undo nothing that happened after them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from songline.processors.catalog.fold import apply_facts, parse_songs
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongRemoved, SongUploaded
from songline.schemas.songs import SongDocument

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def uploaded(title: str, minute: int) -> bytes:
    data = SongUploaded(user_id="user-3", song_id="song-42", title=title, artist="Nova Reed", duration_ms=201_000)
    return encode(Event(id=title, source="/tests", time=NOON + timedelta(minutes=minute), data=data))


def removed(minute: int) -> bytes:
    data = SongRemoved(user_id="user-3", song_id="song-42")
    return encode(Event(id="removed", source="/tests", time=NOON + timedelta(minutes=minute), data=data))


def again(body: bytes, readers: str = "catalog") -> bytes:
    extensions = {"resubmitof": "music-events:2:1", "resubmitfor": readers}
    return json.dumps({**json.loads(body), **extensions}).encode()


def told(*batches: list[bytes]) -> SongDocument | None:
    document, position = None, 0
    for bodies in batches:
        moment = NOON + timedelta(hours=1)
        said = parse_songs([HubRecord(number, moment, body) for number, body in enumerate(bodies, position)])
        assert not said.poison
        position += len(bodies)
        if said.facts or said.resubmitted:
            facts, sent_again = said.facts.get("song-42", ()), said.resubmitted.get("song-42", ())
            document = apply_facts(document, "song-42", "2", facts, sent_again)
            assert apply_facts(document, "song-42", "2", facts, sent_again) == document
    return document


@pytest.mark.parametrize("one_batch", [True, False])
def test_a_resubmitted_upload_does_not_bring_back_what_was_removed_later(one_batch: bool) -> None:
    bodies = [uploaded("first", 1), removed(5), again(uploaded("parked", 3))]
    document = told(bodies) if one_batch else told(*([one] for one in bodies))
    assert document is not None
    assert document.song is None
    later = told(bodies, [again(uploaded("mended", 7))])
    assert later is not None
    assert later.song is not None
    assert later.song.title == "mended"


def test_it_makes_the_song_where_nothing_else_is_known_and_is_for_whom_it_names() -> None:
    document = told([again(uploaded("parked", 3))])
    assert document is not None
    assert document.song is not None
    assert document.owner == "user-3"
    assert told([again(uploaded("parked", 3), "trending,library")]) is None
