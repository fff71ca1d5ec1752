"""What one version of trending's state stores and sends is nothing to another one."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.validation import broken_cells
from songline.processors.trending.cells.wire import join_rows
from songline.processors.trending.faust.batch import ChangeBatch
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.shards import wire as reports
from songline.processors.trending.song_index import SongIndex
from songline.processors.trending.state_version import FIRST, StateVersion
from songline.processors.trending.watermark import ShardWatermark
from songline.schemas.channels import TRENDING_GROUP
from songline.schemas.progress import PROGRESS

SECOND = StateVersion(2)
LATER = st.integers(2, 999_999).map(StateVersion)


def test_the_first_version_writes_as_releases_without_versions_did() -> None:
    assert FIRST.with_prefix("3/7/owner/0") == b"3/7/owner/0"
    assert FIRST.wrap(b"body") == b"body"
    assert (FIRST.prefix, FIRST.group, FIRST.positions) == ("", TRENDING_GROUP, PROGRESS)
    assert (SECOND.prefix, SECOND.group, SECOND.positions) == ("v2/", f"{TRENDING_GROUP}-v2", f"{PROGRESS}-v2")


@given(LATER, LATER, st.text("0123456789/abcsealed", min_size=1))
def test_a_key_is_of_one_version(one: StateVersion, other: StateVersion, key: str) -> None:
    stored = one.with_prefix(key)
    assert one.owns_key(stored)
    assert one.without_prefix(stored) == key.encode()
    assert other.owns_key(stored) == (one == other)
    assert not FIRST.owns_key(stored)


def bodies() -> list[bytes]:
    """A message of a source partition, and one of a shard."""
    empty = join_rows([])
    rows: Any = {"minute": empty, "hour": empty}
    return [
        *partials.partial_bodies(3, 17, None, rows, [], SongIndex()),
        *reports.report_bodies(0, True, [], {}, ShardWatermark(5, {}, {})),
    ]


@given(LATER, LATER)
def test_a_message_is_of_one_version(one: StateVersion, other: StateVersion) -> None:
    for body in bodies():
        message = one.wrap(body)
        assert one.unwrap(message) == body
        assert other.unwrap(message) == (body if one == other else None)
        assert FIRST.unwrap(message) is None
        assert FIRST.unwrap(body) == body
        assert one.unwrap(body) is None
        assert msgspec.msgpack.decode(message)[0] == one.number


@pytest.mark.parametrize("message", [b"", b"\x92", b"\x92\x01", b"\x92\xa1v", b"no message", b"\x96\x02"])
def test_what_is_of_no_version_is_looked_at_by_the_first(message: bytes) -> None:
    assert FIRST.unwrap(message) == message
    assert SECOND.unwrap(message) is None


class Parking:
    def __init__(self) -> None:
        self.added: list[tuple[str, int, Any]] = []

    def add(self, hub: str, partition: int, record: Any) -> None:
        self.added.append((hub, partition, record))


def recovered(*records: tuple[bytes | None, bytes | None], begin: int = 0) -> Any:
    """A batch of these records, as Faust recovers it."""
    end = begin + len(records)
    keys, values = zip(*records, strict=True)
    batch = ChangeBatch(begin, end, range(begin, end), [1_000] * len(records), keys, values)
    return SimpleNamespace(message=SimpleNamespace(partition=0, value=batch))


async def test_a_changelog_holds_and_parks_what_is_of_its_version_alone() -> None:
    mark = b"\x92\x03\x05"
    records = [
        (b"0/7/sealed/0", mark),
        (b"v2/0/7/sealed/0", mark),
        (b"v3/0/7/sealed/0", mark),
        (b"0/7/what", b"?"),
        (b"v2/0/7/what", b"?"),
        (b"v2/0/8/sealed/0", mark),
        (b"v2/0/8/sealed/0", None),
    ]
    for version, bad in ((FIRST, 3), (SECOND, 4)):
        parking = Parking()
        data: dict[bytes, bytes] = {}
        table: Any = SimpleNamespace(data=data)
        saved = Changelog("cells", table, parking, broken_cells, version)  # type: ignore[arg-type] # it is only added to
        saved.apply([recovered(*records[:4]), recovered(*records[4:], begin=4)])
        await saved.prune({0})
        assert data == {b"0/7/sealed/0": mark}
        assert [(hub, record.position) for hub, _, record in parking.added] == [("cells", bad)]
        (sent,) = saved.outgoing(0, {"0/7/sealed/0": None})
        assert (sent.hub, sent.partition, sent.body) == ("cells", 0, None)
        assert sent.key == version.with_prefix("0/7/sealed/0")


async def test_a_record_without_a_key_is_parked_and_stops_nothing() -> None:
    parking = Parking()
    table: Any = SimpleNamespace(data={})
    saved = Changelog("cells", table, parking, broken_cells)  # type: ignore[arg-type] # it is only added to
    saved.apply([recovered((None, b"body"), (b"0/7/sealed/0", b"\x92\x03\x05"), (None, None))])
    await saved.prune({0})
    assert list(table.data) == [b"0/7/sealed/0"]
    assert [(record.position, record.body) for _, _, record in parking.added] == [(0, b"body"), (2, b"")]
