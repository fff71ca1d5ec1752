"""Every kind of break is found, and every kind of growth is let through."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from songline.schemas import publish
from songline.schemas.compatibility import Schema, incompatibilities

Change = Callable[[Schema, Schema], object]

BASE: Schema = json.loads((publish.PUBLISHED / "events/songline.song.played.v1.schema.json").read_text())


def changed(change: Change) -> Schema:
    schema = copy.deepcopy(BASE)
    change(schema, schema["$defs"]["SongPlayed"])
    return schema


def put(node: Any, **entries: Any) -> Any:
    node.update(entries)
    return node


BREAKS: dict[str, tuple[Change, str]] = {
    "removed": (lambda e, d: d["properties"].pop("device"), "$.data.device: removed or renamed"),
    "renamed": (
        lambda e, d: put(d["properties"], gadget=d["properties"].pop("device")),
        "$.data.device: removed or renamed",
    ),
    "removed attribute": (lambda e, d: e["properties"].pop("traceparent"), "$.traceparent: removed or renamed"),
    "new and required": (
        lambda e, d: (put(d["properties"], mood={"type": "string"}), d["required"].append("mood")),
        "$.data.mood: required, and what was written before does not have it",
    ),
    "now required": (
        lambda e, d: d["required"].append("device"),
        "$.data.device: required, and what was written before does not have it",
    ),
    "no longer required": (
        lambda e, d: d["required"].remove("region"),
        "$.data.region: was required and readers rely on it, is optional",
    ),
    "retyped": (
        lambda e, d: put(d["properties"], playedMs={"type": "string"}),
        "$.data.playedMs: retyped from integer to string",
    ),
    "nullable": (
        lambda e, d: put(d["properties"], songId={"anyOf": [d["properties"]["songId"], {"type": "null"}]}),
        "$.data.songId: retyped from string to null or string",
    ),
    "no longer nullable": (
        lambda e, d: put(d["properties"], device={"type": "string"}),
        "$.data.device: retyped from null or string to string",
    ),
    "greater minimum": (
        lambda e, d: put(d["properties"]["playedMs"], minimum=1),
        "$.data.playedMs: narrowed, minimum was 0 and is 1",
    ),
    "lesser maximum": (
        lambda e, d: put(d["properties"]["playedMs"], maximum=1000),
        "$.data.playedMs: narrowed, maximum was 86400000 and is 1000",
    ),
    "new limit": (
        lambda e, d: put(d["properties"]["playedMs"], minItems=1),
        "$.data.playedMs: narrowed, minItems was None and is 1",
    ),
    "shorter": (
        lambda e, d: put(e["properties"]["source"], maxLength=10),
        "$.source: narrowed, maxLength was 256 and is 10",
    ),
    "pattern": (lambda e, d: put(e["properties"]["source"], pattern="^/"), "$.source: narrowed, its pattern was None"),
    "format": (lambda e, d: e["properties"]["time"].pop("format"), "$.time: retyped, its format was date-time"),
    "enumeration shrinks": (
        lambda e, d: d["properties"]["region"]["enum"].remove("DE"),
        "$.data.region: narrowed, 'DE' is no longer one of its values",
    ),
    "enumeration gone": (
        lambda e, d: d["properties"]["region"].pop("enum"),
        "$.data.region: retyped, its enumeration is gone",
    ),
    "to an enumeration": (
        lambda e, d: put(e["properties"]["source"], enum=["/a"]),
        "$.source: narrowed to an enumeration",
    ),
    "another constant": (
        lambda e, d: put(e["properties"]["type"], const="songline.song.heard.v1"),
        "$.type: narrowed, 'songline.song.played.v1' is no longer one of its values",
    ),
    "closed": (lambda e, d: put(d, additionalProperties=False), "$.data: narrowed, other fields were allowed"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_found_with_its_path(name: str) -> None:
    change, sentence = BREAKS[name]
    found = incompatibilities(BASE, changed(change))
    assert any(line.startswith(sentence) for line in found), found


GROWTHS: dict[str, Change] = {
    "nothing": lambda e, d: None,
    "a new optional field": lambda e, d: put(d["properties"], mood={"type": "string"}),
    "a new optional object": lambda e, d: (
        put(d["properties"], place={"$ref": "#/$defs/Place"}),
        put(e["$defs"], Place={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
    ),
    "an enumeration grows": lambda e, d: d["properties"]["region"]["enum"].append("QQ"),
    "a limit is relaxed": lambda e, d: put(d["properties"]["playedMs"], maximum=10**9, minimum=-1),
    "a limit is dropped": lambda e, d: e["properties"]["source"].pop("maxLength"),
    "a pattern is dropped": lambda e, d: e["properties"]["time"].pop("pattern"),
    "words": lambda e, d: put(e, description="Other words.", title="Another", examples=[]),
}


@pytest.mark.parametrize("name", GROWTHS)
def test_growth_is_let_through(name: str) -> None:
    assert incompatibilities(BASE, changed(GROWTHS[name])) == []


def test_every_break_the_other_way_round_is_a_growth_or_a_break_of_its_own() -> None:
    """Comparing is directed: an enumeration that shrinks one way grows the other."""
    shrunk = changed(BREAKS["enumeration shrinks"][0])
    assert incompatibilities(shrunk, BASE) == []


LIST: Schema = {"type": "array", "items": {"$ref": "#/$defs/Node"}}
TREE: Schema = {
    "$ref": "#/$defs/Node",
    "$defs": {"Node": {"type": "object", "properties": {"name": {"type": "string"}, "children": LIST}, "required": []}},
}


def test_a_type_that_holds_itself_is_compared_once() -> None:
    other = copy.deepcopy(TREE)
    put(other["$defs"]["Node"]["properties"], name={"type": "integer"})
    assert incompatibilities(TREE, TREE) == []
    assert incompatibilities(TREE, other) == ["$.name: retyped from string to integer"]


def test_items_and_maps_are_compared() -> None:
    old = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "string"}}, "m": counts("integer")},
    }
    new = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}, "m": counts("string")}}
    assert incompatibilities(old, new) == [
        "$.a[]: retyped from string to number",
        "$.m.*: retyped from integer to string",
    ]


def counts(kind: str) -> Schema:
    return {"type": "object", "additionalProperties": {"type": kind}}
