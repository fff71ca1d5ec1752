"""The fast way of reading a batch passes the same verdict on every body as the contract does."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.trending import id_table
from songline.processors.trending.action_hashes import UserHashes, hashes_of
from songline.processors.trending.cells import body_scanner, columns
from songline.processors.trending.cells.body_scanner import BodyScanner
from songline.processors.trending.cells.columns import read_batch
from songline.processors.trending.song_index import RegionIndex, SongIndex, region_name
from songline.schemas.envelope import Event, decode
from songline.schemas.errors import PoisonError
from songline.schemas.events import (
    ImportUndone,
    ListenImported,
    NameMatched,
    NameUnmatched,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)
from songline.schemas.listening import ListenRule
from songline.schemas.moments import milliseconds, moment_at
from songline.schemas.policy import V1, ChartPolicy
from tests.support.bad_bytes import BAD_RECORDS, bad_bytes


def nested(depth: int) -> list[Any]:
    return [] if depth == 0 else [nested(depth - 1)]


LOGGED = milliseconds(datetime(2026, 11, 22, 14, 0, tzinfo=UTC))

ids = st.sampled_from(
    [
        "a",
        ".",
        "..",
        "...",
        ".a",
        "a.",
        "-.-",
        "user-1",
        "A.b_c:d-1",
        "",
        "ä",
        "a b",
        "a/b",
        "x" * 128,
        "x" * 129,
        "name:one",
        7,
        None,
    ]
)


def written_moment(moment: datetime, digits: int, zone: str) -> str:
    text = moment.replace(microsecond=0).isoformat()
    return text + ("." + f"{moment.microsecond:06d}9999999"[:digits] if digits else "") + zone


any_times = st.builds(
    written_moment,
    st.datetimes(datetime(2026, 2, 27, 12), datetime(2026, 3, 2)) | st.datetimes(),  # noqa: DTZ001 - the zone is text
    st.sampled_from([0, 3, 6, 7, 9, 13]),
    st.sampled_from(
        ["Z", "z", "", "+00:00", "-00:00", "+05:30", "-23:59", "+24:00", "+05:60", "+0530", "+05", "-1:00"]
    ),
)
times = any_times | st.sampled_from(
    [
        "2026-11-22T13:59:60Z",
        "2026-11-22T13:60:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T13:59:5aZ",
        "2026-11-22T13:59:59.Z",
        "2026-11-22T13:59:59,5Z",
        "2026-11-22 13:59:59Z",
        "2026-02-29T13:59:59Z",
        "2028-02-29T13:59:59Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "\u0662026-11-22T13:59:59Z",
        "2026-11-22T13:59:59.123Z",
        "2026-11-22T14:30:00Z",
        "2026-11-22T14:30:00.123456+05:30",
        "2026-11-22T14:00:00-01:00",
        "2026-11-22T15:00:00Z",
        "2026-11-22T15:00:00.001Z",
        "2026-11-22T14:00:00",
        "2026-11-22T13:58:59.9999995Z",
        "2026-11-22T13:59:59.99999949Z",
        "2026-11-22T14:00:00.0000005Z",
        "2026-11-22T14:59:59.9999999Z",
        "2026-11-22T15:00:00.0000005Z",
        "2026-11-22T15:00:00.000001Z",
        "2026-11-22T19:29:59.9999995+05:30",
        "9999-12-31T23:59:59.9999999Z",
        "2026-11-22t13:59:59." + "9" * 400 + "z",
        "2026-13-22T14:00:00Z",
        "yesterday",
        None,
    ]
)
kinds = [
    "song.played",
    "song.liked",
    "song.unliked",
    "song.uploaded",
    "song.removed",
    "song.danced",
    "listen.imported",
    "import.undone",
    "name.matched",
    "name.unmatched",
]
usual = {
    "userId": "user-1",
    "songId": "song-1",
    "playedMs": 40_000,
    "durationMs": 60_000,
    "region": "DE",
    "title": "One",
    "artist": "Two",
    "importId": "import-1",
    "name": "name:x",
    "origin": "lastfm",
    "artists": ["Two", "Three"],
}


def envelope() -> dict[str, Any]:
    attributes = {"specversion": "1.0", "id": "e", "source": "/s", "type": "songline.song.played.v1"}
    return {**attributes, "time": "2026-11-22T13:59:59.9999999Z", "data": usual}


def without(odd: dict[str, Any], missing: list[str]) -> dict[str, Any]:
    return {name: value for name, value in (usual | odd).items() if name not in missing}


MINUS_ZERO = msgspec.Raw(b"-0")
oddities = st.fixed_dictionaries(
    {},
    optional={
        "userId": ids,
        "songId": ids,
        "region": st.sampled_from(["FR", "de", "DEU", "D", "ÄÖ", None, 1]),
        "playedMs": st.sampled_from([0, 1, 29_999, 30_000, 40_000.0, MINUS_ZERO, -1, 86_400_001, 1.5, 1e300, None]),
        "durationMs": st.sampled_from([0, 1, 20_000, 59_999, 80_001, 40_000.0, MINUS_ZERO, 86_400_001, "1"]),
        "device": st.sampled_from(["ios", "", "\0", " ", "x" * 65, None]),
        "genre": st.sampled_from(["rock", "ROCK", None]),
        "title": st.sampled_from(["", "x" * 301, "a\nb", "\u202e", "\x1b[2J"]),
    },
)
envelopes = st.fixed_dictionaries(
    {
        "specversion": st.sampled_from(["1.0"] * 8 + ["0.3"]),
        "id": st.just("e") | ids,
        "source": st.sampled_from(["/s"] * 8 + ["", "x" * 257]),
        "type": st.builds("songline.{}.v{}".format, st.sampled_from(kinds), st.sampled_from([1, 1, 1, 2, 2, 0, 3])),
        "time": st.just("2026-11-22T13:59:59Z") | times,
        "data": st.builds(without, st.just({}) | oddities, st.just([]) | st.lists(st.sampled_from(sorted(usual)))),
    },
    optional={
        "partitionkey": ids,
        "subject": st.sampled_from(["x", None, 1]),
        "traceparent": st.sampled_from(["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "nonsense", None]),
        "extension": st.just("passed over") | st.builds(nested, st.sampled_from([1, 397, 398, 399, 400, 401])),
    },
)
odd_extensions = st.sampled_from(
    [b"9" * 400, b'"\\ud800"', b"7", b"null", b'"music-events:0:7"', b'{"a":[1e999]}', b"NaN"]
)
written = envelopes.map(msgspec.json.encode)
bodies = st.one_of(
    written,
    bad_bytes(written),
    # An escape in what is compared, a field that stands twice.
    written.map(lambda body: body.replace(b"2026-", b"2\\u0030\\u00326-")),
    written.map(lambda body: body.replace(b'{"specversion"', b'{"type":"songline.song.liked.v1","specversion"')),
    written.map(lambda body: body.replace(b'"data":{', b'"data":{"userId":"b","songId":7},"data":{')),
    # An extension that the contract looks at, and this does not.
    st.builds(lambda body, odd: body[:-1] + b',"resubmitof":' + odd + b"}", written, odd_extensions),
    st.sampled_from(list(BAD_RECORDS.values())).filter(lambda body: len(body) < 20_000),
    st.just(b"null"),
)


@effort(130)
@given(st.lists(bodies, min_size=1, max_size=6))
def test_every_body_gets_the_verdict_of_the_contract(batch: list[bytes]) -> None:
    holds_the_verdict(batch, [LOGGED] * len(batch))


@settings(deadline=None)
@given(st.lists(bodies, min_size=3, max_size=9), st.integers(1, 4))
def test_pieces_of_a_batch_are_put_together(batch: list[bytes], size: int) -> None:
    with patch.object(columns, "PIECE", size):
        holds_the_verdict(batch, [LOGGED - index % 3 * 3_600_000 for index in range(len(batch))])


@settings(deadline=None)
@given(st.lists(bodies, min_size=1, max_size=3))
def test_so_it_does_where_the_log_says_no_time(batch: list[bytes]) -> None:
    holds_the_verdict(batch, [-1] * len(batch))


# Other spellings of a usual event, each a layout of its own.
plain_fields = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["e", "e-2", "x" * 36, "x" * 39, "x" * 40, "."]),
        "type": st.sampled_from([f"songline.song.{kind}" for kind in ("played.v1", "played.v2", "liked.v1")]),
        "time": st.sampled_from([*(f"2026-11-22T1{hour}:59:59.123Z" for hour in range(2, 6)), "2026-11-22T13:59:59Z"]),
        "partitionkey": st.sampled_from(["user-1", "user-2", "user-2.5", "a/b"]),
        "data": st.fixed_dictionaries(
            {
                "userId": st.sampled_from(["user-1", "user-2", "user-2.5", "x" * 39, "x" * 40, ".", "a/b", "ä"]),
                "songId": st.sampled_from(["song-1", "song-2", "name:" + "f" * 32, "...", ""]),
                "playedMs": st.sampled_from([0, 1, 9_999, 29_999, 30_000, 86_400_000, 86_400_001, 999_999_999, 1.0]),
                "durationMs": st.sampled_from([0, 15_000, 200_000, 86_400_001]),
                "region": st.sampled_from(["DE", "FR", "de", "ZZ", "AA", "A[", "@A", "DEU", ""]),
                "device": st.sampled_from(["ios", "android", "", "x" * 64, "x" * 65, "a\\b"]),
            }
        ),
    }
)


def plain_body(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode({**envelope(), **fields, "data": {**fields["data"]}})


PLAIN = plain_body(
    {
        "partitionkey": "user-1",
        "data": {field: usual[field] for field in ("userId", "songId", "playedMs", "durationMs", "region")}
        | {"device": "web"},
    }
)
spoiled = st.one_of(
    st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(0, 255)).map(
        lambda at: PLAIN[: at[0]] + bytes([at[1]]) + PLAIN[at[0] + 1 :]
    ),
    st.integers(0, len(PLAIN)).map(lambda at: PLAIN[:at]),
    st.tuples(st.integers(0, len(PLAIN)), st.binary(max_size=2)).map(
        lambda at: PLAIN[: at[0]] + at[1] + PLAIN[at[0] :]
    ),
)


@effort(100)
@given(st.lists(plain_fields.map(plain_body) | spoiled | bodies, min_size=1, max_size=6))
def test_bodies_of_known_layouts_get_the_verdict_of_the_contract(batch: list[bytes]) -> None:
    with patch.object(body_scanner, "LEAST_BODIES", 1), patch.object(id_table, "SLOT_BITS", 2):
        holds_the_verdict(batch, [LOGGED] * len(batch), [PLAIN, PLAIN.replace(b"played.v1", b"liked.v1")])


policies = st.builds(
    lambda least_ms, share_percent, excluded: msgspec.structs.replace(
        V1, name="other", listen=ListenRule(least_ms, share_percent), excluded_listeners=excluded
    ),
    st.sampled_from([0, 1, 10_000, 30_000, 86_400_000]),
    st.sampled_from([1, 50, 100]),
    st.sampled_from([(), ("user-1",), ("user-2", "user-2.5", "x" * 39, "nobody")]),
)


@effort(30)
@given(st.lists(plain_fields.map(plain_body) | bodies, min_size=1, max_size=6), policies)
def test_so_they_do_by_any_policy(batch: list[bytes], policy: ChartPolicy) -> None:
    with patch.object(body_scanner, "LEAST_BODIES", 1), patch.object(id_table, "SLOT_BITS", 2):
        holds_the_verdict(batch, [LOGGED] * len(batch), [PLAIN], policy)


@effort(15)
@given(st.lists(bodies, min_size=1, max_size=3), st.lists(bodies, min_size=1, max_size=3))
def test_a_layout_is_learned_from_any_plain_body(seen: list[bytes], batch: list[bytes]) -> None:
    with patch.object(body_scanner, "LEAST_BODIES", 1), patch.object(id_table, "SLOT_BITS", 2):
        holds_the_verdict(batch, [LOGGED - 3_600_000] * len(batch), seen)


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_costs_no_neighbour(name: str) -> None:
    good = msgspec.json.encode(envelope())
    found = read_batch([good, BAD_RECORDS[name], good], [LOGGED] * 3, SongIndex(), RegionIndex(), UserHashes())
    assert [index for index, _ in found.poison] == [1]
    assert len(found.codes) == 2


def test_plain_bodies_are_read_without_the_contract() -> None:
    batch = [
        msgspec.json.encode({**envelope(), "type": f"songline.song.{kind}", "time": time})
        for kind in ("played.v1", "played.v2", "liked.v1", "unliked.v1")
        for time in PLAIN_TIMES
    ]
    batch += [msgspec.json.encode({**envelope(), "data": usual | {"playedMs": ms}}) for ms in (0, 1, 29_999, 30_000)]
    songs, regions, users = SongIndex(), RegionIndex(), UserHashes()
    logged_ms = [LOGGED] * len(batch)
    with patch.object(columns, "decode", side_effect=AssertionError):
        read = read_batch(batch, logged_ms, songs, regions, users)
    assert len(read.codes) == len(batch) - 3
    # One that is not plain costs no other its plain reading.
    with patch.object(columns, "decode", wraps=decode) as contract:
        read_batch([*batch, b"{}", *batch], [LOGGED] * (2 * len(batch) + 1), songs, regions, users)
    assert contract.call_count == 1


PLAIN_TIMES = (
    "2026-11-22T13:59:59Z",
    "2026-11-22T13:59:59.123Z",
    "2026-11-22T13:59:59.123456Z",
    "2026-11-22T13:59:59.9999999Z",
    "2026-11-22T13:59:59.123456+00:00",
    "2026-11-22T14:59:59.123+01:00",
    "2026-11-21T23:59:59Z",
)


def holds_the_verdict(
    batch: list[bytes], logged_ms: list[int], seen: Sequence[bytes] = (), policy: ChartPolicy = V1
) -> None:
    """Bodies of `seen` came before."""
    songs, regions, users, scanner = SongIndex(), RegionIndex(), UserHashes(), BodyScanner()
    for body in seen:
        read_batch([body], [LOGGED], songs, regions, users, policy, scanner)
    first = read_batch(batch, logged_ms, songs, regions, users, policy, scanner)
    found = read_batch(batch, logged_ms, songs, regions, users, policy, scanner)
    assert found.codes.tolist() == first.codes.tolist(), "ids that are known are as they were"
    assert found.hashes.tolist() == first.hashes.tolist(), "so are listeners"

    acts, facts, poison = [], [], []
    for index, body in enumerate(batch):
        try:
            event = decode(body)
            if logged_ms[index] >= 0 and event.time > moment_at(logged_ms[index] + 3_600_000):
                raise PoisonError("broken-contract", "")
        except PoisonError as why:
            poison.append((index, why.reason))
            continue
        if isinstance(event.data, SongUploaded | SongRemoved):
            facts.append((index, event))
            continue
        if isinstance(event.data, ListenImported | ImportUndone | NameMatched | NameUnmatched):
            continue
        if event.data.user_id in policy.excluded_listeners:
            continue
        if not isinstance(event.data, SongPlayed) or policy.listen.is_listen(
            event.data.played_ms, event.data.duration_ms
        ):
            acts.append(expected(event))
    assert [(index, why.reason) for index, why in found.poison] == poison
    assert found.facts == facts
    assert [
        (known, songs.names[code >> 18], region_name(code >> 8 & 1023), hour * 60 + (code >> 2 & 63), code & 3)
        for known, code, hour in zip(found.hashes.tolist(), found.codes.tolist(), found.hours.tolist(), strict=True)
    ] == acts


def expected(event: Event) -> tuple[Any, ...]:
    data = event.data
    assert isinstance(data, SongPlayed | SongLiked | SongUnliked)
    kind = {SongPlayed: 0, SongLiked: 1, SongUnliked: 2}[type(data)]
    minute = milliseconds(event.time) // 60_000
    (known,) = hashes_of([(kind, data.user_id, data.song_id)]).tolist()
    return known, data.song_id, data.region, minute, kind


@pytest.mark.parametrize(
    ("extensions", "counted"),
    [
        ({"resubmitof": "music-events:1:7", "resubmitfor": "catalog,library"}, 0),
        ({"resubmitof": "music-events:1:7", "resubmitfor": "library,trending"}, 1),
        ({"resubmitof": "music-events:1:7"}, 1),
        ({"resubmitfor": "library"}, 1),
        ({"resubmitof": 7, "resubmitfor": ["library"]}, 1),
    ],
)
def test_what_is_sent_again_for_other_readers_is_passed_over(extensions: dict[str, Any], counted: int) -> None:
    good = msgspec.json.encode(envelope())
    again = msgspec.json.encode({**envelope(), **extensions})
    found = read_batch([good, again], [LOGGED] * 2, SongIndex(), RegionIndex(), UserHashes())
    assert (len(found.codes), found.poison) == (1 + counted, [])
