"""Bodies of known layouts are read a column at a time; which bodies these are."""

from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.trending import id_table
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import body_scanner, columns
from songline.processors.trending.cells.body_bytes import BodyBytes
from songline.processors.trending.cells.body_scanner import LEAST_BODIES, MOST_LAYOUTS, BodyScanner
from songline.processors.trending.cells.columns import read_batch
from songline.processors.trending.cells.plain_events import decode_plain
from songline.processors.trending.cells.plain_layout import learn_layout
from songline.processors.trending.id_table import NO_ID, IdTable
from songline.processors.trending.song_index import RegionIndex, SongIndex, region_numbers
from songline.schemas.policy import V1

BODY = (
    b'{"specversion":"1.0","id":"e-%d","source":"/s","type":"songline.song.played.v2","time":"2026-11-22T13:%02d:00Z",'
    b'"data":{"userId":"user-%d","songId":"song-%d","playedMs":%d,"region":"DE"}}'
)
MANY = [BODY % (number, number % 60, number % 7, number % 11, 20_000 + number * 500) for number in range(LEAST_BODIES)]
LOGGED_MS = [-1] * 10_000


def read(bodies: list[bytes], scanner: BodyScanner) -> list[tuple[int, str, int, int]]:
    """Of each action its hash, song, region with minute and kind, and hour."""
    songs = SongIndex()
    found = read_batch(bodies, LOGGED_MS[: len(bodies)], songs, RegionIndex(), UserHashes(), V1, scanner)
    assert found.poison == []
    codes = [(songs.names[code >> 18], code & (1 << 18) - 1) for code in found.codes.tolist()]
    columns_of = zip(found.hashes[:, 0].tolist(), codes, found.hours.tolist(), strict=True)
    return [(known, *code, hour) for known, code, hour in columns_of]


def test_many_bodies_of_a_layout_are_read_without_an_object_each() -> None:
    scanner = BodyScanner()
    one_by_one = read(MANY, scanner)
    with patch.object(columns, "decode_plain", side_effect=AssertionError):
        assert read(MANY, scanner) == one_by_one
        assert read(MANY[::-1], scanner) == one_by_one[::-1]
    assert len(one_by_one) == LEAST_BODIES - 20, "the others were heard for less than half a minute"


def test_layouts_that_take_turns_are_read_so_too() -> None:
    scanner = BodyScanner()
    kinds = [MANY] + [[body.replace(b"played.v2", kind) for body in MANY] for kind in (b"liked.v1", b"unliked.v1")]
    mixed = [body for bodies in zip(*kinds, strict=True) for body in bodies]
    for bodies in kinds:
        read(bodies, scanner)
    one_by_one = read(mixed, BodyScanner())
    with patch.object(columns, "decode_plain", side_effect=AssertionError):
        assert read(mixed, scanner) == one_by_one


def test_one_body_that_is_written_otherwise_costs_no_other() -> None:
    scanner = BodyScanner()
    wanted = read(MANY, scanner)
    others = [MANY[-1].replace(b"user", b"us\\u0065r"), MANY[-1].replace(b'"/s"', '"/\u00e4"'.encode())]
    with patch.object(columns, "decode_plain", wraps=decode_plain) as decoded:
        found = read([others[0], *MANY, others[1]], scanner)
    assert decoded.call_count == 2
    assert found == [wanted[-1], *wanted, wanted[-1]]


def test_a_number_of_no_digits_alone_is_read_as_what_it_is() -> None:
    scanner = BodyScanner()
    heard = b'"playedMs":%d'
    nothing = [body.replace(heard % (20_000 + 500 * number), b'"playedMs":-0') for number, body in enumerate(MANY)]
    for _ in range(2):
        assert read(nothing, scanner) == [], "nothing was heard of any song"


def test_no_more_layouts_are_known_than_are_useful() -> None:
    scanner = BodyScanner()
    wanted = read(MANY, scanner)
    for number in range(3 * MOST_LAYOUTS):
        read([body.replace(b'"/s"', b'"/%d"' % number) for body in MANY], scanner)
        with patch.object(columns, "decode_plain", side_effect=AssertionError):
            assert read(MANY, scanner) == wanted, "the layout that came last is kept"


@pytest.mark.parametrize(
    "body",
    [
        MANY[0].replace(b'"region":"DE"', b'"region":"DE","region":"FR"'),
        MANY[0].replace(b'"data":{', b'"data":{"region":"FR"},"data":{'),
        MANY[0].replace(b'"id"', b'"traceparent":"00-%b-%b-01","id"' % (b"a" * 32, b"b" * 16)),
        MANY[0]
        .replace(b'"source":"/s"', b'"source":"/%b"' % (b"s" * 255), 1)
        .replace(b'"id"', b'"a":"%b","id"' % (b"b" * 999)),
        MANY[0].replace(b'"/s"', '"/\u00e4"'.encode()),
        MANY[0].replace(b'"/s"', b'"/\\u0061"'),
        MANY[0].replace(b'"userId":"user-0",', b""),
        MANY[0].replace(b'"playedMs":20000', b'"playedMs":-0'),
        MANY[0].replace(b'"playedMs":20000', b'"playedMs":1,"durationMs":-0'),
    ],
)
def test_no_layout_is_learned_where_others_can_not_be_judged_by_it(body: bytes) -> None:
    msgspec.json.decode(body)
    assert learn_layout(body, 0) is None


def test_a_layout_is_what_is_the_same_in_all_its_bodies() -> None:
    body = (
        b'{ "data" : {"songId":"s", "extra":{"songId":"no","a":[1,"b",{"id":"no"}]}, "userId":"u","playedMs":null} , '
        b'"time":"t","id":"e", "more":[["x"],{}] }'
    )
    layout = learn_layout(body, 2)
    assert layout is not None
    assert [(field.before, field.name) for field in layout.fields] == [
        (b'{ "data" : {"songId":"', "songId"),
        (b'", "extra":{"songId":"no","a":[1,"b",{"id":"no"}]}, "userId":"', "userId"),
        (b'","playedMs":null} , "time":"', "time"),
        (b'","id":"', "id"),
    ]
    assert (layout.end, layout.kind) == (b'", "more":[["x"],{}] }', 2)


words = st.lists(
    st.text("ab.", min_size=1, max_size=16) | st.sampled_from(["/", "name:" + "a" * 32, "x" * 40]),
    min_size=1,
    max_size=30,
)


@given(st.lists(words, min_size=1, max_size=4), st.integers(1, 4))
def test_a_table_says_what_its_index_says(batches: list[list[str]], bits: int) -> None:
    table, index, alone = IdTable(), SongIndex(), SongIndex()
    with patch.object(id_table, "SLOT_BITS", bits):
        for ids in batches:
            width = 16 if max(map(len, ids)) <= 16 else 40
            columns_of = np.frombuffer(b"".join(id_.encode().ljust(width, b"\0") for id_ in ids), np.uint64)
            found = table.numbers(columns_of.reshape(len(ids), -1), index)
            for id_, number in zip(ids, found.tolist(), strict=True):
                try:
                    alone[id_]
                except ValueError:
                    assert number == NO_ID
                else:
                    assert index.names[number] == id_


def test_regions_have_the_same_numbers_in_columns() -> None:
    regions = RegionIndex()
    texts = [bytes((first, second)) for first in range(256) for second in range(256)]
    found = region_numbers(np.frombuffer(b"".join(texts), np.uint8).reshape(-1, 2)).tolist()
    for text, number in zip(texts, found, strict=True):
        try:
            assert number == regions[text.decode("latin-1")]
        except ValueError:
            assert number == 0


@given(st.lists(st.binary(max_size=3) | st.just(b"plain"), max_size=6))
def test_simple_bodies_have_no_escape_and_no_control(bodies: list[bytes]) -> None:
    wanted = [place for place, body in enumerate(bodies) if all(31 < byte < 128 and byte != 92 for byte in body)]
    assert BodyBytes(bodies).simple().tolist() == wanted


def test_few_bodies_are_read_one_by_one() -> None:
    scanner = BodyScanner()
    read(MANY, scanner)
    with patch.object(body_scanner, "BodyBytes", side_effect=AssertionError):
        read(MANY[:-1], scanner)
