"""Stored events are read under later versions, a step at a time, and are never rewritten."""

import json
from collections.abc import Mapping
from typing import cast

import pytest
from msgspec import Struct

from songline.schemas import envelope, examples, jsonschema, publish, upcasts
from songline.schemas.compatibility import incompatibilities
from songline.schemas.decoding import Decoder
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.events import EVENTS, FORMER_EVENTS, SongPlayed, SongPlayedV1
from songline.schemas.upcasts import Data, UpcastStep
from songline.schemas.written import written_former

NAME = "songline.song.played"
STORED = json.dumps(examples.FORMER_EVENTS[f"{NAME}.v1"]).encode()


class PlatformV2(Struct, frozen=True, kw_only=True, rename="camel"):
    """The device became a required platform."""

    user_id: str
    song_id: str
    played_ms: int
    duration_ms: int
    region: str
    platform: str


class MarketV3(Struct, frozen=True, kw_only=True, rename="camel"):
    """The region became a market."""

    user_id: str
    song_id: str
    played_ms: int
    duration_ms: int
    market: str
    platform: str


def to_v2(data: Data) -> Data:
    return {**without(data, "device"), "platform": data.get("device", "unknown")}


def to_v3(data: Data) -> Data:
    return {**without(data, "region"), "market": f"market-{data['region']}"}


def without(data: Data, field: str) -> Data:
    return {key: value for key, value in data.items() if key != field}


STEPS: dict[tuple[str, int], UpcastStep] = {(NAME, 1): to_v2, (NAME, 2): to_v3}


def deploy(monkeypatch: pytest.MonkeyPatch, version: int, payload: type[Struct]) -> None:
    monkeypatch.setitem(EVENTS, NAME, (version, payload))
    monkeypatch.setitem(envelope._payloads, NAME, Decoder(payload))
    former = cast("dict[object, object]", FORMER_EVENTS)
    monkeypatch.setitem(former, (NAME, 2), PlatformV2)
    decoders = cast("dict[object, object]", envelope._former)
    monkeypatch.setitem(decoders, PlatformV2, Decoder(PlatformV2, "broken-contract"))


def read(body: bytes, steps: Mapping[tuple[str, int], UpcastStep]) -> object:
    """The data in `body`, of a type that only these tests know."""
    return decode(body, steps).data


def test_a_stored_v1_is_read_under_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(monkeypatch, 2, PlatformV2)
    assert read(STORED, STEPS) == PlatformV2(
        user_id="user-7", song_id="song-42", played_ms=184_000, duration_ms=201_000, region="DE", platform="ios"
    )


def test_a_stored_v1_and_a_stored_v2_are_read_under_v3(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(monkeypatch, 3, MarketV3)
    today = MarketV3(
        user_id="user-7", song_id="song-42", played_ms=184_000, duration_ms=201_000, market="market-DE", platform="ios"
    )
    raw = json.loads(STORED)
    stored_v2 = {**raw, "type": f"{NAME}.v2", "data": to_v2(raw["data"])}
    stored_v3 = {**raw, "type": f"{NAME}.v3", "data": to_v3(to_v2(raw["data"]))}
    assert read(STORED, STEPS) == today
    assert read(json.dumps(stored_v2).encode(), STEPS) == today
    assert read(json.dumps(stored_v3).encode(), {}) == today


def test_a_missing_step_is_an_unknown_version(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(monkeypatch, 3, MarketV3)
    with pytest.raises(PoisonError, match=rf"unknown-version: no step leads from {NAME}\.v2 to version 3"):
        decode(STORED, {(NAME, 1): to_v2})


@pytest.mark.parametrize("data", [{}, {"region": "DE"}, [], None, 5])
def test_data_that_breaks_the_contract_of_its_version_breaks_the_contract(
    monkeypatch: pytest.MonkeyPatch, data: object
) -> None:
    deploy(monkeypatch, 3, MarketV3)
    body = json.dumps({**json.loads(STORED), "data": data}).encode()
    with pytest.raises(PoisonError) as caught:
        decode(body, STEPS)
    assert caught.value.reason == "broken-contract"


def test_a_step_leaves_what_it_is_given_as_it_is() -> None:
    stored = {"region": "DE", "device": "ios"}
    assert upcasts.upcast(NAME, 1, 3, stored, STEPS) == {"market": "market-DE", "platform": "ios"}
    assert stored == {"region": "DE", "device": "ios"}


def test_a_step_that_makes_no_sense_of_the_data_breaks_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(monkeypatch, 3, MarketV3)
    with pytest.raises(PoisonError, match=r"broken-contract: the step from .*\.v1 met KeyError"):
        decode(STORED, {(NAME, 1): lambda data: {"mood": data["mood"]}, (NAME, 2): to_v3})


def test_today_needs_a_type_and_a_step_for_every_older_version() -> None:
    needed = {(name, version) for name, (today, _) in EVENTS.items() for version in range(1, today)}
    assert upcasts.UPCASTS.keys() == FORMER_EVENTS.keys() == needed


def test_a_first_version_of_a_play_is_read_as_the_second() -> None:
    data = {"userId": "user-7", "songId": "song-42", "playedMs": 184_000.0, "durationMs": 0, "region": "DE"}
    read = decode(json.dumps({**json.loads(STORED), "data": {**data, "device": "\u200bios"}}).encode()).data
    assert read == SongPlayed(
        user_id="user-7", song_id="song-42", played_ms=184_000, duration_ms=0, region="DE", device="ios"
    )


@pytest.mark.parametrize("field", ["playedMs", "durationMs", "region"])
@pytest.mark.parametrize("change", ["missing", "null"])
def test_only_the_second_version_of_a_play_goes_without(field: str, change: str) -> None:
    data = dict(json.loads(STORED)["data"])
    data[field] = None
    if change == "missing":
        del data[field]
    read = decode(json.dumps({**json.loads(STORED), "type": f"{NAME}.v2", "data": data}).encode()).data
    assert isinstance(read, SongPlayed)
    assert {"playedMs": read.played_ms, "durationMs": read.duration_ms, "region": read.region}[field] is None
    with pytest.raises(PoisonError, match="broken-contract"):
        decode(json.dumps({**json.loads(STORED), "data": data}).encode())


def test_the_first_version_of_a_play_has_the_fields_of_its_schema() -> None:
    published = json.loads((publish.PUBLISHED / f"events/{NAME}.v1.schema.json").read_text())
    made = jsonschema._document(f"{NAME}.v1", written_former(NAME, 1), examples.FORMER_EVENTS[f"{NAME}.v1"])
    assert incompatibilities(published, made) == incompatibilities(made, published) == []
    assert SongPlayedV1.__struct_encode_fields__ == tuple(published["$defs"]["SongPlayed"]["properties"])
