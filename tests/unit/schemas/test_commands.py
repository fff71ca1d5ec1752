"""Commands as they are on the wire."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from songline.schemas.commands import (
    Command,
    IngestSong,
    Metadata,
    RemoveSong,
    Upload,
    clean,
    decode,
    derived_id,
    encode,
)
from songline.schemas.envelope import split_type
from songline.schemas.errors import PoisonError
from songline.schemas.types import ID_PATTERN

MOMENT = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
SHA = "ab" * 32

BLOB_NAMES = (
    st.lists(
        st.text(st.characters(exclude_characters="/\\\x7f", min_codepoint=32, codec="utf-8"), min_size=1), min_size=1
    )
    .map(lambda parts: "/".join(part.rstrip(".") + "x" for part in parts))
    .filter(lambda name: len(name) <= 1024)
)
ids = st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True).filter(lambda id_: id_.strip("."))
texts = st.none() | st.text(min_size=1, max_size=300)
uploads = st.builds(
    Upload,
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    size=st.integers(0, 2**40),
    content_type=st.just("audio/mpeg"),
    blob=st.none() | BLOB_NAMES,
)
orders = st.builds(
    IngestSong,
    user_id=ids,
    upload=uploads,
    file_name=st.none() | st.text(min_size=1, max_size=255),
    metadata=st.builds(Metadata, title=texts, artist=texts, album=texts, genre=st.sampled_from([None, "indie", "r&b"])),
) | st.builds(RemoveSong, user_id=ids, song_id=ids)
commands = st.builds(
    Command, id=ids, source=st.just("/services/api"), time=st.datetimes(timezones=st.just(UTC)), data=orders
)


def written(**changes: Any) -> bytes:
    order = RemoveSong(user_id="user-7", song_id="song-42")
    command = Command(id="c-1", source="/services/api", time=MOMENT, data=order)
    return json.dumps({**json.loads(encode(command)), **changes}).encode()


@given(commands)
def test_what_is_encoded_is_decoded(command: Command) -> None:
    assert decode(encode(command)) == structs.replace(command, data=clean(command.data))


def test_the_written_form() -> None:
    order = IngestSong(
        user_id="user-7",
        upload=Upload(sha256=SHA, size=3, content_type="audio/flac", blob="i-1"),
        file_name="song.flac",
        metadata=Metadata(title="Paper Lanterns"),
    )
    assert json.loads(encode(Command(id="i-1", source="/services/api", time=MOMENT, data=order))) == {
        "id": "i-1",
        "source": "/services/api",
        "type": "songline.song.ingest.v1",
        "time": "2026-11-22T14:00:00Z",
        "data": {
            "userId": "user-7",
            "upload": {"sha256": SHA, "size": 3, "contentType": "audio/flac", "blob": "i-1"},
            "fileName": "song.flac",
            "metadata": {"title": "Paper Lanterns"},
        },
    }


@given(commands.filter(lambda command: isinstance(command.data, IngestSong)))
def test_a_command_fits_into_a_message_property(command: Command) -> None:
    """Service Bus takes 32 KB a property; a file inline leaves the command no other place."""
    assert len(encode(command)) <= 32_768


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not-a-command"),
        (b"\xff", "not-a-command"),
        (b"[]", "not-a-command"),
        (written(type="songline.song.played.v1"), "unknown-type"),
        (written(type="songline.song.remove"), "unknown-type"),
        (written(type="songline.song.remove.v2"), "unknown-version"),
        (written(data={"userId": "user-7"}), "broken-contract"),
        (written(data={"userId": "user 7", "songId": "song-42"}), "broken-contract"),
        (written(data={"userId": "user-7", "songId": ".."}), "broken-contract"),
        (written(data={"userId": ".", "songId": "song-42"}), "broken-contract"),
        (written(id=".."), "not-a-command"),
        (written(time="yesterday"), "not-a-command"),
        (written(type="songline.song.remove.v²"), "unknown-type"),
        (written(type="songline.song.remove.v" + "9" * 5_000), "unknown-type"),
    ],
)
def test_what_cannot_be_understood_says_why(text: bytes, reason: str) -> None:
    with pytest.raises(PoisonError) as caught:
        decode(text)
    assert caught.value.reason == reason


@given(st.lists(st.text(), max_size=4))
def test_no_derived_id_is_a_folder(words: list[str]) -> None:
    """Songs that come of an ingestion have such ids, or those of uuid7."""
    assert re.search(ID_PATTERN, derived_id("ingestion", *words))


def test_a_derived_id_depends_on_every_word_and_on_where_it_ends() -> None:
    # Ids that were derived once must be derived again by every later version.
    assert derived_id("ingestion", "user-7", "key") == "0b626581-e65c-5e7a-ac54-b5e5a7d36f4a"
    ids = {derived_id("ingestion", *parts) for parts in (("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"))}
    assert len(ids) == 4


@pytest.mark.parametrize("version", ["v01", "v0", "v\u0661", "v\uff11", "v1 ", "v", "1", "v-1", "v" + "9" * 5000])
def test_a_version_is_written_one_way_in_commands_as_in_events(version: str) -> None:
    with pytest.raises(PoisonError) as command:
        decode(written(type=f"songline.song.remove.{version}"))
    with pytest.raises(PoisonError) as event:
        split_type(f"songline.song.played.{version}")
    assert command.value.reason == event.value.reason == "unknown-type"


@pytest.mark.parametrize(
    "name", [".", "..", "../x", "a/../b", "a/./b", "/a", "a/", "a//b", "a.", "a\\b", "a\0", "a\n", ""]
)
def test_a_blob_whose_name_would_be_another_on_its_way_is_refused(name: str) -> None:
    upload = {"sha256": SHA, "size": 3, "contentType": "audio/flac", "blob": name}
    with pytest.raises(PoisonError, match="broken-contract"):
        decode(written(type="songline.song.ingest.v1", data={"userId": "user-7", "upload": upload}))
