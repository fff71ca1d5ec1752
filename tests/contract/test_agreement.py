"""The published JSON Schema and the code take and refuse the same events."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
from hypothesis import example, given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.schemas import examples, publish
from songline.schemas.acceptance import accept
from songline.schemas.envelope import encode
from songline.schemas.errors import ContractViolationError
from songline.schemas.events import ACCEPTED_TYPES

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
# The schema can't say that these depend on the clock, on another field, or on the size of it all.
BEYOND_SCHEMA = {"partitionkey"}

VALIDATORS = {
    name: jsonschema.Draft202012Validator(json.loads(publish.read()[f"events/{name}.schema.json"]))
    for name in ACCEPTED_TYPES
}
EVENTS = [json.loads(encode(event)) for event in examples.EVENTS.values()] + [*examples.FORMER_EVENTS.values()]

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = [
    "",
    "x",
    "x" * 128,
    "x" * 129,
    "x\n",
    "a b",
    "é",
    "DE",
    "de",
    "XX",
    "DE\n",
    "indie",
    "Indie",
    "i" * 65,
    "y" * 301,
    "name:x",
    "name:",
    "NAME:x",
    ".",
    "..",
    "...",
    ".a",
    " ",
    "\0",
    "a\nb",
    "\u202e\u2066",
    "\u200d",
    "\u3000",
    "\x85",
]
TYPES = [*ACCEPTED_TYPES, "songline.song.played.v01", "songline.song.played.v3", "songline.song.played.v"]
OTHERS: list[Any] = [
    0,
    -1,
    86_400_000,
    86_400_001,
    2**53 - 1,
    2**53,
    2**63,
    2**64,
    1.5,
    0.0,
    184_000.0,
    86_400_001.0,
    1e300,
    True,
    None,
    [],
    ["x", "\u200b"],
    ["x"] * 21,
    {},
]
TAKEN = [
    "2026-11-22T13:00:00Z",
    "2026-11-22t13:00:00z",
    "2026-11-22 13:00:00.1234567+0100",
    "2026-11-22T13:00:00-01:59",
    "2026-11-22T13:59:59.9999999Z",
]
REFUSED = [
    "2026-11-22T13:00:00",
    "2026-11-22",
    "2026-11-22T13:00Z",
    "2026-11-22T13:00:00.Z",
    "2026-11-22T13:00:00+01",
    "٢026-11-22T13:00:00Z",
    "2026-11-22T13:00:00Z\n",
    "now",
]
edges: st.SearchStrategy[Any] = st.sampled_from([*TEXTS, *TYPES, *OTHERS])
moments: st.SearchStrategy[Any] = st.sampled_from([*TAKEN, *REFUSED])
values = edges | moments | st.text(max_size=20) | numbers | st.booleans() | st.none() | st.lists(numbers, max_size=2)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """An event of which some fields were given other values, taken out or added."""
    event = json.loads(json.dumps(draw(st.sampled_from(EVENTS))))
    for _ in range(draw(st.integers(0, 3))):
        inside = draw(st.booleans()) and isinstance(event.get("data"), dict)
        target = event["data"] if inside else event
        field = draw(st.sampled_from([*sorted(target), "extension"]))
        if field in BEYOND_SCHEMA:
            continue
        match draw(st.sampled_from(["put", "drop"])):
            case "put":
                target[field] = draw(moments if field == "time" else values)
            case "drop":
                target.pop(field, None)
    return {key: value for key, value in event.items() if key not in BEYOND_SCHEMA}


@effort(130)
@given(mutated())
@example({**EVENTS[0], "id": "x\n"})
@example({**EVENTS[0], "traceparent": EVENTS[0]["traceparent"] + "\n"})
@example({**EVENTS[0], "data": {**EVENTS[0]["data"], "region": "XX"}})
@example({**EVENTS[0], "data": {**EVENTS[0]["data"], "userId": "x\n"}})
@example({**EVENTS[3], "data": {**EVENTS[3]["data"], "genre": "indie\n"}})
@example({**EVENTS[3], "data": {**EVENTS[3]["data"], "title": "\u202e\x1b"}})
@example({**EVENTS[3], "data": {**EVENTS[3]["data"], "size": 2**53}})
@example({**EVENTS[0], "data": {**EVENTS[0]["data"], "playedMs": 184_000.0}})
@example({**EVENTS[0], "data": {"userId": "user-7", "songId": "name:x"}})
@example({**EVENTS[0], "type": "songline.song.played.v1", "data": {"userId": "user-7", "songId": "song-42"}})
@example({**EVENTS[3], "data": {**EVENTS[3]["data"], "songId": "name:x"}})
@example({**EVENTS[4], "data": {**EVENTS[4]["data"], "songId": "name:x"}})
@example({**EVENTS[5], "data": {**EVENTS[5]["data"], "artists": []}})
@example({**EVENTS[0], "time": "2026-11-22T13:00:00.9999999Z"})
def test_the_code_takes_what_the_schema_takes(event: dict[str, Any]) -> None:
    kind = event.get("type")
    by_schema = isinstance(kind, str) and kind in VALIDATORS and VALIDATORS[kind].is_valid(event)
    assert accepted(event) == by_schema


@effort(30)
@given(st.dictionaries(st.text(max_size=10), values, max_size=5))
def test_extensions_are_passed_over_by_both(extra: dict[str, Any]) -> None:
    event = {**extra, **EVENTS[0], "data": {**extra, **EVENTS[0]["data"]}}
    assert VALIDATORS["songline.song.played.v2"].is_valid(event)
    assert accepted(event)


def accepted(event: dict[str, Any]) -> bool:
    try:
        accept(json.dumps(event).encode(), NOW)
    except ContractViolationError:
        return False
    return True
