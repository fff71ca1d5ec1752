"""Bad records: what anybody with a key can write into a hub or a queue, and what no reader may take or fall over.

`BAD_RECORDS` are for `music-events`: each is refused by the contract (`schemas.envelope.decode` raises PoisonError), so
that a reader parks it, once, and counts its neighbours. `spoiled` makes the same of any other JSON contract, and
`bad_bytes` are strategies for properties and fuzzers. A hub takes a record without a body too: `NULL_RECORD`.
"""

import json
from typing import Any

from hypothesis import strategies as st

from songline.schemas import examples
from songline.schemas.envelope import encode
from songline.schemas.events import ListenImported, SongPlayed, SongRemoved, SongUploaded

NULL_RECORD = None
OVERSIZE_BYTES = 900_000


def spoiled(good: bytes) -> dict[str, bytes]:
    """What no contract takes, made of `good`, one JSON object that has a string in it."""
    text = good.index(b'":"') + 3

    def inside(dirt: bytes) -> bytes:
        return good[:text] + dirt + good[text:]

    return {
        "empty": b"",
        "one NUL": b"\0",
        "random bytes": bytes(range(256)),
        "white space": b" \n\t ",
        "JSON null": b"null",
        "JSON number": b"7",
        "JSON string": b'"songline.song.played.v1"',
        "JSON array": b"[" + good + b"]",
        "empty object": b"{}",
        "two objects": good + good,
        "half an object": good[: len(good) // 2],
        "last byte cut": good[:-1],
        "NUL behind": good + b"\0",
        "byte that is not UTF-8": inside(b"\xff"),
        "cut sequence": inside(b"\xc3"),
        "cut sequence of four": inside(b"\xf0\x9f\x8e"),
        "surrogate in UTF-8": inside(b"\xed\xa0\x80"),
        "overlong slash": inside(b"\xc0\xaf"),
        "beyond Unicode": inside(b"\xf5\x80\x80\x80"),
        "lone high surrogate": inside(b"\\ud800"),
        "lone low surrogate": inside(b"\\udc00"),
        "two high surrogates": inside(b"\\ud800\\ud800"),
        "raw line feed in a string": inside(b"\n"),
        "unknown escape": inside(b"\\x41"),
        "not UTF-8 in an unknown field": good[:-1] + b',"note":"\xff"}',
        "not UTF-8 in a name": good[:-1] + b',"\xff":1}',
        "byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "Latin-1": good[:-1] + b',"note":"caf\xe9"}',
        "gzip": b"\x1f\x8b\x08\x00" + good,
        "MessagePack": b"\x81\xa4type\xa1x",
        "Avro": b"Obj\x01\x04\x14avro.codec\x08null\x00",
        "nested too deep": b"[" * 9_000 + b"]" * 9_000,
        "nested too deep in an unknown field": good[:-1] + b',"note":' + b"[" * 500 + b"]" * 500 + b"}",
        "opened and never closed": b'{"a":' * 9_000,
        "NaN": good[:-1] + b',"note":NaN}',
        "single quotes": good.replace(b'"', b"'"),
        "oversize": b"x" * OVERSIZE_BYTES,
        "oversize and not UTF-8": b"\xff" * OVERSIZE_BYTES,
    }


def _changed(base: dict[str, Any], data: dict[str, Any] | None = None, **attributes: Any) -> bytes:
    return json.dumps({**base, **attributes, "data": {**base["data"], **(data or {})}}).encode()


_PLAYED: dict[str, Any] = json.loads(encode(examples.EVENTS[SongPlayed]))
_PLAYED_V1: dict[str, Any] = examples.FORMER_EVENTS["songline.song.played.v1"]
_UPLOADED: dict[str, Any] = json.loads(encode(examples.EVENTS[SongUploaded]))
_REMOVED: dict[str, Any] = json.loads(encode(examples.EVENTS[SongRemoved]))
_IMPORTED: dict[str, Any] = json.loads(encode(examples.EVENTS[ListenImported]))

BAD_RECORDS: dict[str, bytes] = {
    **spoiled(encode(examples.EVENTS[SongPlayed])),
    "unknown type": _changed(_PLAYED, type="songline.song.hummed.v1"),
    "type of a version to come": _changed(_PLAYED, type="songline.song.played.v3"),
    "type with a version of 5,000 digits": _changed(_PLAYED, type="songline.song.played.v" + "9" * 5_000),
    "type is null": _changed(_PLAYED, type=None),
    "no type": json.dumps({name: value for name, value in _PLAYED.items() if name != "type"}).encode(),
    "data is null": json.dumps({**_PLAYED, "data": None}).encode(),
    "data is a list": json.dumps({**_PLAYED, "data": []}).encode(),
    "data is a string": json.dumps({**_PLAYED, "data": json.dumps(_PLAYED["data"])}).encode(),
    "no data": json.dumps({name: value for name, value in _PLAYED.items() if name != "data"}).encode(),
    "user is null": _changed(_PLAYED, {"userId": None}),
    "user is a number": _changed(_PLAYED, {"userId": 7}),
    "user is empty": _changed(_PLAYED, {"userId": ""}),
    "user is two dots": _changed(_PLAYED, {"userId": ".."}, partitionkey=".."),
    "song is a dot": _changed(_PLAYED, {"songId": "."}),
    "song is two dots": _changed(_PLAYED, {"songId": ".."}),
    "song is a path": _changed(_PLAYED, {"songId": "../song-42"}),
    "song of 129 characters": _changed(_PLAYED, {"songId": "x" * 129}),
    "song with a line feed behind": _changed(_PLAYED, {"songId": "song-42\n"}),
    "negative play": _changed(_PLAYED, {"playedMs": -1}),
    "play of a day and more": _changed(_PLAYED, {"playedMs": 86_400_001}),
    "play of 5,000 digits": encode(examples.EVENTS[SongPlayed]).replace(b"184000", b"9" * 5_000),
    "play of half a millisecond": _changed(_PLAYED, {"playedMs": 0.5}),
    "play as a string": _changed(_PLAYED, {"playedMs": "184000"}),
    "play of infinity": encode(examples.EVENTS[SongPlayed]).replace(b"184000", b"1e999"),
    "country in lower case": _changed(_PLAYED, {"region": "de"}),
    "country is empty": _changed(_PLAYED, {"region": ""}),
    "first version without a country": _changed(_PLAYED_V1, {"region": None}),
    "first version without a length": _changed(_PLAYED_V1, {"durationMs": None}),
    "first version without a time heard": _changed(_PLAYED_V1, {"playedMs": None}),
    "time is no time": _changed(_PLAYED, time="yesterday"),
    "time without an offset": _changed(_PLAYED, time="2026-11-22T14:00:00"),
    "time on a day that is not": _changed(_PLAYED, time="2026-02-30T00:00:00Z"),
    "time is a number": _changed(_PLAYED, time=1_795_356_000),
    "time before the year 1": _changed(_PLAYED, time="0001-01-01T00:00:00+23:59"),
    "time after the year 9999": _changed(_PLAYED, time="9999-12-31T23:59:59-23:59"),
    "upload of two dots": _changed(_UPLOADED, {"songId": ".."}),
    "upload of a name": _changed(_UPLOADED, {"songId": "name:9f86d081884c7d65"}),
    "upload of an empty name": _changed(_UPLOADED, {"songId": "name:"}),
    "removal of a name": _changed(_REMOVED, {"songId": "name:9f86d081884c7d65"}),
    "upload without a title": _changed(_UPLOADED, {"title": ""}),
    "upload with a title that shows nothing": _changed(_UPLOADED, {"title": "\0\u202e\u2066"}),
    "upload with a title of 301 characters": _changed(_UPLOADED, {"title": "x" * 301}),
    "upload of a size beyond 2^53": _changed(_UPLOADED, {"size": 2**53}),
    "imported listen of nobody": _changed(_IMPORTED, {"artists": []}),
    "imported listen of an artist that shows nothing": _changed(_IMPORTED, {"artists": ["Nova Reed", "\u200b"]}),
    "imported listen of one text for artists": _changed(_IMPORTED, {"artists": "Nova Reed"}),
    "imported listen of 21 artists": _changed(_IMPORTED, {"artists": ["x"] * 21}),
    "imported listen without a title": _changed(_IMPORTED, {"title": ""}),
    "imported listen of no import": _changed(_IMPORTED, {"importId": None}),
    "imported listen of no song": _changed(_IMPORTED, {"songId": None}),
    "imported listen of no time": _changed(_IMPORTED, {"playedMs": 0}),
    "imported listen from a sentence": _changed(_IMPORTED, {"origin": "my old phone"}),
}
"""Records of `music-events` by what is wrong with them: `songline.schemas.envelope.decode` raises PoisonError."""

DIRT = [
    b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x8e", b"\xc0\xaf", b"\xef\xbb\xbf", b"\0", b"\x1b", b"\n", b"\\ud800",
    b"\\udc00", b"\\u0000", b"\\u202e", b"\\x", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true",
    b"NaN", b"1e999", b"-0", b"184000.0", b"9" * 400, b"[" * 500, b'{"a":' * 500, b".9999999", b"Z",
]  # fmt: skip
"""What is put into good bytes to make them bad."""


@st.composite
def bad_bytes(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """`good` with dirt put in, bytes taken out or changed, or cut off: mostly bad, and now and then still good."""
    body = bytearray(draw(good))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        match draw(st.sampled_from(["put", "replace", "change", "drop", "cut"])):
            case "put":
                body[at:at] = draw(st.sampled_from(DIRT))
            case "replace":
                body[at : at + draw(st.integers(1, 30))] = draw(st.sampled_from(DIRT))
            case "change":
                body[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "drop":
                del body[at : at + draw(st.integers(1, 8))]
            case "cut":
                del body[at:]
    return bytes(body)


def bad_json() -> st.SearchStrategy[Any]:
    """Values of JSON of every kind, also where another kind is expected: nulls, wide numbers, controls, surrogates."""
    texts = st.text(st.characters(), max_size=20) | st.sampled_from(
        ["", ".", "..", "\0", "\x1b[2J", "a\nb", "\u202e", "\ud800", "\udfff", "x" * 400, "\ufeff", "\x85"]
    )
    numbers = st.integers() | st.floats() | st.sampled_from([2**53, 2**63, 2**64, -(2**63), 10**400, 184_000.0])
    leaves = st.none() | st.booleans() | numbers | texts
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
