"""The files of a partition become one history: overlapping, twice, out of order, over two lives of a hub."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.history.archive.capture_records import Records
from songline.processors.history.archive.errors import ArchiveHoleError, DamagedFileError
from songline.processors.history.archive.history import ArchivedBatch, HubHistory
from songline.schemas.progress import lasting_position, split_position
from tests.support.archive_files import MemoryFiles, MemoryTail
from tests.support.capture_files import NOON, block_offsets, body_at, capture_file, record, service_form


def second_at(position: int) -> int:
    return NOON + position // 3


def records(positions: Sequence[int], later_s: int = 0) -> list[dict[str, Any]]:
    return [record(at, second_at(at) + later_s) for at in positions]


def events(first: int, last: int, generation: int = 0, later_s: int = 0) -> list[tuple[int, int, bytes]]:
    return [
        (lasting_position(generation, at), second_at(at) + later_s, body_at(at, second_at(at) + later_s))
        for at in range(first, last + 1)
    ]


async def read(history: HubHistory, after: int = -1, until_s: int | None = None) -> list[tuple[int, int, bytes]]:
    batches: list[ArchivedBatch] = [batch async for batch in history.read("0", after, until_s)]
    assert all(batch.positions for batch in batches)
    return [event for batch in batches for event in zip(batch.positions, batch.enqueued_s, batch.bodies, strict=True)]


@st.composite
def covering_files(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    """A number of positions, and files that hold all of them: some twice, some overlapping, in any order."""
    last = draw(st.integers(0, 120))
    cuts = sorted({0, *draw(st.lists(st.integers(0, last), max_size=6))})
    files = [list(range(start, stop)) for start, stop in zip(cuts, [*cuts[1:], last + 1], strict=True)]
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, last))
        files.append(list(range(start, draw(st.integers(start, last)) + 1)))
    return last, draw(st.permutations([*files, *draw(st.lists(st.just([]), max_size=2))]))


@effort(20)
@given(made=covering_files(), after=st.integers(-1, 130), until=st.none() | st.integers(-1, 50), data=st.data())
async def test_any_files_that_hold_all_events_are_one_history(
    made: tuple[int, list[list[int]]], after: int, until: int | None, data: st.DataObject
) -> None:
    last, positions = made
    files = MemoryFiles(data.draw(st.sampled_from([500, 10_000])))
    for minute, held in enumerate(positions):
        codec = data.draw(st.sampled_from(["null", "snappy"]))
        files.add(capture_file(records(held), codec=codec, block_bytes=600), minute)
    until_s = None if until is None else NOON + until
    wanted = [one for one in events(0, last) if one[0] > after and (until_s is None or one[1] < until_s)]
    assert await read(HubHistory(files), after, until_s) == wanted


@effort(15)
@given(st.lists(st.lists(st.integers(0, 40), max_size=30), max_size=5))
async def test_positions_in_any_order_within_files_are_put_in_order(held: list[list[int]]) -> None:
    files = MemoryFiles(500)
    for minute, positions in enumerate(held):
        files.add(capture_file(records(positions), block_bytes=400), minute)
    history = HubHistory(files, skip=True)
    there = sorted({at for positions in held for at in positions})
    assert [event[0] for event in await read(history)] == there
    gone = {at for hole in history.skipped.holes for at in range(hole.first, hole.last + 1)}
    assert gone == set(range(max(there, default=-1))) - set(there)
    assert history.skipped.missing == len(gone)


async def test_what_is_missing_is_named_with_the_files_beside_it() -> None:
    files = MemoryFiles()
    before = files.add(capture_file(records(range(10))), 0)
    after = files.add(capture_file(records(range(15, 20))), 1)
    with pytest.raises(ArchiveHoleError) as raised:
        await read(HubHistory(files))
    hole = raised.value.hole
    assert (hole.partition, hole.first, hole.last, hole.before, hole.after) == ("0", 10, 14, before, after)
    history = HubHistory(files, skip=True)
    assert await read(history) == events(0, 9) + events(15, 19)
    assert history.skipped.holes == [hole]
    assert history.skipped.missing == 5
    # A second reading adds nothing.
    await read(history)
    assert history.skipped.missing == 5
    assert (await history.extent("0")).holes == (hole,)


async def test_what_is_missing_before_the_first_file_is_missing_too() -> None:
    files = MemoryFiles()
    files.add(capture_file(records(range(5, 8))), 0)
    with pytest.raises(ArchiveHoleError, match="0 to 4"):
        await read(HubHistory(files))
    assert await read(HubHistory(files), after=4) == events(5, 7)


async def test_without_an_archive_it_is_said_what_is_missing_and_how_capture_is_turned_on() -> None:
    """Where there is an archive, the files beside what is missing are named instead."""
    tail = MemoryTail([(second_at(at), body_at(at, second_at(at))) for at in range(60)], 20)
    with pytest.raises(ArchiveHoleError) as raised:
        await read(HubHistory(MemoryFiles(), tail))
    said = str(raised.value)
    assert "partition 0 lacks positions 0 to 19; beside them: no file of the archive" in said
    assert "--enable-capture true" in said
    assert "--blob-container archive" in said
    files = MemoryFiles()
    files.add(capture_file(records(range(30, 40))), 0)
    with pytest.raises(ArchiveHoleError) as raised:
        await read(HubHistory(files, tail))
    assert "--enable-capture" not in str(raised.value)


class ClosedTail(MemoryTail):
    """Knows which of its readings have been closed."""

    closed = 0

    async def read(self, partition: str, first: int, last: int) -> AsyncGenerator[Records | int]:
        try:
            async with aclosing(super().read(partition, first, last)) as found:
                async for one in found:
                    yield one
        finally:
            self.closed += 1


@pytest.mark.parametrize("files_from", [None, 30])
async def test_a_reading_of_the_hub_that_ends_early_is_closed_with_it(files_from: int | None) -> None:
    files = MemoryFiles()
    if files_from is not None:
        files.add(capture_file(records(range(files_from, 40))), 0)
    tail = ClosedTail([(second_at(at), body_at(at, second_at(at))) for at in range(60)], 0)
    async with aclosing(HubHistory(files, tail).read("0")) as batches:
        async for batch in batches:
            assert batch.positions[0] == 0
            break
    # Not by the garbage collector, in a task of its own that the end of the process may cancel.
    assert tail.closed == 1


@pytest.mark.parametrize("first", [0, 20, 29, 30])
async def test_of_an_archive_that_begins_late_only_what_the_hub_deleted_is_missing(first: int) -> None:
    files = MemoryFiles()
    after = files.add(capture_file(records(range(30, 40))), 0)
    tail = MemoryTail([(second_at(at), body_at(at, second_at(at))) for at in range(60)], first)
    for until_s in (None, second_at(25), second_at(35)):
        history = HubHistory(files, tail, skip=True)
        wanted = [one for one in events(first, 59) if until_s is None or one[1] < until_s]
        assert await read(history, until_s=until_s) == wanted
        assert history.skipped.missing == first
        assert await read(HubHistory(files, tail), first - 1, until_s) == wanted
    if first:
        with pytest.raises(ArchiveHoleError, match=f" 0 to {first - 1}; .*Capture was turned on late") as raised:
            await read(HubHistory(files, tail))
        assert raised.value.hole.after == after


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
async def test_a_cut_file_stops_the_history_unless_it_is_passed_over(codec: str) -> None:
    files = MemoryFiles()
    files.add(capture_file(records(range(50))), 0)
    whole = capture_file(records(range(50, 100)), codec=codec, block_bytes=900)
    offset, size = block_offsets(whole)[2]
    cut = files.add(whole[: offset + size - 5], 1)
    files.add(capture_file(records(range(100, 150))), 2)
    with pytest.raises(DamagedFileError) as raised:
        await read(HubHistory(files))
    assert (raised.value.damage.path, raised.value.damage.block) == (cut, 2)
    assert cut in str(raised.value)
    assert "block 2" in str(raised.value)
    history = HubHistory(files, skip=True)
    found = await read(history)
    (hole,) = history.skipped.holes
    assert found == events(0, hole.first - 1) + events(100, 149)
    assert hole.last == 99
    assert history.skipped.damages == [raised.value.damage]
    assert (await history.extent("0")).damages == (raised.value.damage,)
    # What comes behind it does not need it.
    assert await read(HubHistory(files), after=99) == events(100, 149)


async def test_a_file_that_is_no_avro_stops_the_history_unless_it_is_passed_over() -> None:
    files = MemoryFiles()
    files.add(capture_file(records(range(50))), 0)
    bad = files.add(b"nothing", 1)
    files.add(capture_file(records(range(60, 70))), 2)
    with pytest.raises(DamagedFileError, match=bad):
        await read(HubHistory(files))
    history = HubHistory(files, skip=True)
    assert await read(history) == events(0, 49) + events(60, 69)
    assert history.skipped.missing == 10
    assert await read(HubHistory(files), after=59) == events(60, 69)


async def test_positions_begin_anew_where_a_hub_was_made_anew() -> None:
    files = MemoryFiles()
    files.add(capture_file(records(range(100))), 0)
    files.add(capture_file(records(range(80, 130))), 1)
    files.add(capture_file(records(range(40), 1_000)), 2)
    files.add(capture_file(records(range(40, 60), 1_000)), 3)
    files.add(capture_file(records(range(40), 2_000)), 4)
    wanted = events(0, 129) + events(0, 59, 1, 1_000) + events(0, 39, 2, 2_000)
    history = HubHistory(files)
    found = await read(history)
    assert found == wanted
    for after in (0, 50, 129, 130, 150, 189, len(wanted) - 1):
        assert await read(history, after=wanted[after][0]) == wanted[after + 1 :]
    assert [split_position(at) for at, _, _ in found[-2:]] == [(2, 38), (2, 39)]
    extent = await history.extent("0")
    assert (extent.holes, extent.first, extent.last) == ((), 0, lasting_position(2, 39))


async def test_a_large_file_is_known_by_its_two_ends() -> None:
    """Neither its middle nor what is before is read, where only what follows is wanted."""
    files = MemoryFiles()
    body = bytes(range(256)) * 40
    old = files.add(capture_file([record(at, NOON, body) for at in range(60)], block_bytes=50_000), 0)
    new = files.add(capture_file([record(at, NOON, body) for at in range(60, 120)], block_bytes=200_000), 1)
    assert len(files.files[old]) > 500_000
    history = HubHistory(files)
    extent = await history.extent("0")
    assert (extent.first, extent.last, files.downloads) == (0, 119, [])
    assert [at for at, _, _ in await read(history, after=70)] == list(range(71, 120))
    assert files.downloads == [new]


@effort(15)
@given(st.integers(1, 400), st.sampled_from([1, 3_000, 60_000, 10**7]), st.sampled_from(["null", "deflate"]))
async def test_the_ends_of_a_file_tell_what_the_whole_tells(count: int, block_bytes: int, codec: str) -> None:
    files = MemoryFiles()
    body = b"\x07" * 3_000
    made = [record(at, NOON + at, body + str(at * 7919).encode()) for at in range(3, 3 + count)]
    files.add(capture_file(made, codec=codec, block_bytes=block_bytes), 0)
    extent = await HubHistory(files).extent("0")
    assert (extent.first, extent.last) == (3, 2 + count)
    assert (extent.first_s, extent.last_s) == (NOON + 3, NOON + 2 + count)


@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("odd", [{"SequenceNumber": 1 << 42}, {"EnqueuedTimeUtc": "1/1/0001 12:00:00 AM"}])
@pytest.mark.parametrize("place", [0, 1, -1])
async def test_an_event_that_no_hub_gave_is_damage_wherever_it_is(count: int, odd: dict[str, Any], place: int) -> None:
    """Also where only the ends of a file are read at first."""
    files = MemoryFiles()
    body = b"\x07" * 3_000
    some = [record(at, NOON + at, body) for at in range(10, 10 + count)]
    some[place] |= odd
    files.add(capture_file([record(at, NOON + at, body) for at in range(10)]), 0)
    path = files.add(capture_file(some, block_bytes=1), 1)
    files.add(capture_file([record(10 + count, NOON + 10 + count, body)]), 2)
    with pytest.raises(DamagedFileError, match=path):
        await read(HubHistory(files))
    history = HubHistory(files, skip=True)
    missing = 10 + range(count)[place]
    assert [at for at, _, _ in await read(history)] == [at for at in range(11 + count) if at != missing]
    assert [(one.first, one.last) for one in history.skipped.holes] == [(missing, missing)]
    assert (await history.extent("0")).last == 10 + count


@pytest.mark.parametrize("later_s", [-100_000, -40, 40, 100_000])
@pytest.mark.parametrize("wrong", range(3))
@pytest.mark.parametrize("is_copy", [False, True])
async def test_a_file_with_a_wrong_clock_doubles_no_event(later_s: int, wrong: int, *, is_copy: bool) -> None:
    files = MemoryFiles()
    for place in range(3):
        positions = range(50 * place, 50 * place + 50)
        if is_copy or place != wrong:
            files.add(capture_file(records(positions)), place)
        if place == wrong and not (is_copy and place == 0):
            files.add(
                capture_file(
                    [
                        {**one, "EnqueuedTimeUtc": service_form(second_at(at) + later_s)}
                        for at, one in zip(positions, records(positions), strict=True)
                    ]
                ),
                10,
            )
    for skip in (False, True):
        history = HubHistory(files, skip=skip)
        found = await read(history)
        assert [(at, body) for at, _, body in found] == [(at, body) for at, _, body in events(0, 149)]
        assert history.skipped.missing == 0
        if is_copy:
            assert found == events(0, 149)


@pytest.mark.parametrize("in_hub", [0, 100, 150])
async def test_a_copy_of_the_first_file_with_a_later_clock_doubles_no_event_of_a_hub_that_is_there(in_hub: int) -> None:
    """Nothing comes behind it, so only the hub tells that it was not made anew. `in_hub`: the hub begins with it."""
    files = MemoryFiles()
    for place in range(3):
        files.add(capture_file(records(range(50 * place, 50 * place + 50))), place)
    later = [{**one, "EnqueuedTimeUtc": service_form(NOON + 100_000)} for one in records(range(50))]
    files.add(capture_file(later), 10)
    tail = MemoryTail([(second_at(at), body_at(at, second_at(at))) for at in range(160)], in_hub)
    history = HubHistory(files, tail)
    assert await read(history) == events(0, 159)
    extent = await history.extent("0")
    assert (extent.holes, extent.waiting) == ((), 10)


async def test_a_large_file_whose_ends_do_not_rise_is_read_to_be_known() -> None:
    files = MemoryFiles()
    body = b"\x07" * 3_000
    order = [*range(100, 200), *range(100)]
    files.add(capture_file([record(at, NOON + at, body) for at in order], block_bytes=1), 0)
    extent = await HubHistory(files).extent("0")
    assert (extent.first, extent.last, extent.first_s, extent.last_s) == (0, 199, NOON, NOON + 199)
    assert [at for at, _, _ in await read(HubHistory(files))] == list(range(200))


@pytest.mark.parametrize(
    "position", [-1, 0, 5, lasting_position(1, 0) - 1, lasting_position(3, 0), lasting_position(3, 9)]
)
def test_a_lasting_position_is_split_into_what_it_was_made_of(position: int) -> None:
    generation, own = split_position(position)
    assert lasting_position(generation, own) == position


class UnreachableFiles(MemoryFiles):
    """Files that are listed, and whose service is away then."""

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        raise ServiceRequestError("away")


async def test_a_service_that_is_away_is_told_as_its_own_error() -> None:
    files = UnreachableFiles()
    for minute in range(2):
        files.add(capture_file(records([minute])), minute)
    with pytest.raises(ServiceRequestError):
        await read(HubHistory(files))
