"""The index finds of a listener what a reading of the whole archive finds, whatever is in the archive."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.history.archive.errors import ArchiveHoleError, DamagedFileError, HistoryError
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.archive.merge import AHEAD_FILES
from songline.processors.history.index.archive_index import ArchiveIndex, ListenerEvent, ListenerHistory, is_of_listener
from songline.processors.history.index.manifest import MAX_ROWS, Manifest, joined_with
from songline.processors.history.index.segment import FileRows, SegmentHead, head_bytes
from songline.processors.history.index.segment_rows import joined, rows_of_files
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongLiked
from tests.support.archive_files import MemoryFiles, MemoryIndex, MemoryTail
from tests.support.capture_files import NOON, capture_file, record

LISTENERS = ("ann", "bob", "cem", "dora")


def body_of(position: int, generation: int = 0) -> bytes:
    """An event of a listener; some bodies are none."""
    if position % 11 == 5:
        return b'{"data":{"userId":"ann"}}' if position % 2 else b"\xff"
    liked = SongLiked(user_id=LISTENERS[position * 7 % 4], song_id=f"song-{generation}-{position}")
    return encode(Event(id=f"e-{position}", source="/t", time=datetime.fromtimestamp(NOON, UTC), data=liked))


def records(positions: Sequence[int], generation: int = 0, moved: int = 0) -> list[dict[str, Any]]:
    return [record(at, NOON + 1_000 * generation + at // 3, body_of(at + moved, generation)) for at in positions]


async def scanned(
    files: MemoryFiles, user_id: str, until_s: int | None, tail: MemoryTail | None, *, skip: bool = False
) -> ListenerHistory:
    history = HubHistory(files, tail, skip=skip)
    events: list[ListenerEvent] = []
    positions: dict[str, int] = {}
    for partition in await history.partitions():
        positions[partition] = -1
        async for batch in history.read(partition, -1, until_s):
            positions[partition] = batch.positions[-1]
            events += [
                ListenerEvent(partition, position, second, body)
                for position, second, body in zip(batch.positions, batch.enqueued_s, batch.bodies, strict=True)
                if is_of_listener(body, user_id)
            ]
    return ListenerHistory(events, positions)


async def check(
    files: MemoryFiles, index: ArchiveIndex, until_s: int | None = None, tail: MemoryTail | None = None
) -> None:
    for user_id in (*LISTENERS, "nobody"):
        assert await index.listener_history(user_id, until_s) == await scanned(files, user_id, until_s, tail)


@effort(10)
@given(data=st.data())
async def test_a_lookup_equals_a_reading_of_everything(data: st.DataObject) -> None:
    """Files come one after the other, some twice, some overlapping, some written anew, over two lives of a hub."""
    files, blobs = MemoryFiles(3_000), MemoryIndex()
    minute = 0
    for generation in range(data.draw(st.integers(1, 2))):
        moved = {"0": 0, "1": 0}
        held: dict[str, list[tuple[str, range]]] = {"0": [], "1": []}
        for _ in range(data.draw(st.integers(1, 4))):
            partition = data.draw(st.sampled_from(["0", "1"]))
            end = held[partition][-1][1].stop if held[partition] else 0
            positions = range(max(0, end - data.draw(st.sampled_from([0, 0, 10]))), end + data.draw(st.integers(0, 60)))
            codec = data.draw(st.sampled_from(["null", "deflate", "snappy"]))
            block_bytes = data.draw(st.sampled_from([1, 2_000]))
            minute += 1
            made = capture_file(records(positions, generation, moved[partition]), codec=codec, block_bytes=block_bytes)
            held[partition].append((files.add(made, minute, partition), positions))
            if data.draw(st.booleans()):
                await check(files, ArchiveIndex(HubHistory(files), blobs))
            if data.draw(st.booleans()):
                # As an erasure does it: other bodies at the same positions, in all files that hold them.
                moved[partition] += 1
                for path, own in held[partition]:
                    files.files[path] = capture_file(records(own, generation, moved[partition]), codec=codec)
    index = ArchiveIndex(HubHistory(files), blobs)
    await check(files, index)
    for until in data.draw(st.lists(st.integers(-1, 1_040), max_size=2)):
        await check(files, index, NOON + until)


async def test_each_file_is_read_once() -> None:
    files, blobs = MemoryFiles(), MemoryIndex()
    first = files.add(capture_file(records(range(50))), 0)
    await check(files, ArchiveIndex(HubHistory(files), blobs))
    files.downloads.clear()
    second = files.add(capture_file(records(range(50, 90))), 1)
    index = ArchiveIndex(HubHistory(files), blobs)
    await index.listener_history("ann")
    await index.listener_history("bob")
    assert files.downloads == [second]
    assert first not in files.downloads


class ErasedIndex(MemoryIndex):
    """An index that is deleted by an erasure once the first files were scanned. `kept`: the manifests that were written
    after that."""

    def __init__(self, erase: Callable[[], None]) -> None:
        super().__init__()
        self._erase = erase
        self._is_erased = False
        self.kept: list[Manifest] = []

    async def write_segment(self, name: str, data: bytes) -> None:
        await super().write_segment(name, data)
        if not self._is_erased:
            self._is_erased = True
            self._erase()
            await self.drop()

    async def write_manifest(self, partition: str, manifest: Manifest, etag: str | None) -> str | None:
        written = await super().write_manifest(partition, manifest, etag)
        if written is not None and self._is_erased:
            self.kept.append(manifest)
        return written


async def test_what_was_scanned_before_an_erasure_is_not_written_after_it() -> None:
    files = MemoryFiles()
    path = files.add(capture_file(records(range(50))), 0)
    (before,) = await files.list() or []
    blobs = ErasedIndex(lambda: files.files.update({path: capture_file(records(range(50), 0, 1))}))
    await check(files, ArchiveIndex(HubHistory(files), blobs))
    assert [one for made in blobs.kept for one in made.files]
    assert before.etag not in {one.etag for made in blobs.kept for one in made.files}
    assert len(blobs.segments) == 1


async def test_what_is_missing_in_the_archive_is_missing_for_a_lookup() -> None:
    files, index = MemoryFiles(), MemoryIndex()
    files.add(capture_file(records(range(50))), 0)
    files.add(capture_file(records(range(60, 90))), 1)
    with pytest.raises(ArchiveHoleError):
        await ArchiveIndex(HubHistory(files), index).listener_history("ann")
    history = HubHistory(files, skip=True)
    found = await ArchiveIndex(history, index).listener_history("ann")
    assert found.events
    assert history.skipped.missing == 10
    # What is asked for lies before what is missing.
    assert (await ArchiveIndex(HubHistory(files), index).listener_history("ann", NOON + 16)).events


async def test_what_the_hub_alone_has_before_and_between_files_is_found() -> None:
    files, blobs = MemoryFiles(), MemoryIndex()
    tail = MemoryTail([(NOON + at // 3, body_of(at)) for at in range(120)])
    files.add(capture_file(records(range(30, 60))), 0)
    files.add(capture_file(records(range(90, 100))), 1)
    index = ArchiveIndex(HubHistory(files, tail), blobs)
    for until_s in (None, NOON + 5, NOON + 10, NOON + 15, NOON + 25, NOON + 35):
        await check(files, index, until_s, tail)


@effort(20)
@given(data=st.data())
async def test_what_only_a_reading_tells_is_read(data: st.DataObject) -> None:
    """Files that lack something at their beginning, between them and within them, over a hub that has it, or a part."""
    files, blobs = MemoryFiles(3_000), MemoryIndex()
    everything = [(NOON + at // 3, body_of(at)) for at in range(200)]
    tail = MemoryTail(everything, data.draw(st.sampled_from([0, 30, 120])))
    end = 0
    for minute in range(data.draw(st.integers(0, 5))):
        start = max(0, end + data.draw(st.sampled_from([-10, 0, 0, 0, 20])))
        end = min(start + data.draw(st.integers(1, 40)), 190)
        if start < end:
            made = capture_file(records(range(start, end)), block_bytes=data.draw(st.sampled_from([1, 2_000])))
            cut = data.draw(st.sampled_from([0, 0, 0, 1, 200]))
            files.add(made[: len(made) - cut], minute)
    for skip in (False, True):
        index = ArchiveIndex(HubHistory(files, tail, skip=skip), blobs)
        for until in (None, *data.draw(st.lists(st.integers(-1, 70), max_size=2))):
            until_s = None if until is None else NOON + until
            for user_id in LISTENERS[:2]:
                found = await outcome(index.listener_history(user_id, until_s))
                read = await outcome(scanned(files, user_id, until_s, tail, skip=skip))
                if read is DamagedFileError and found is ArchiveHoleError:
                    # What no other file has is missing: a reading comes upon the file first, the index upon the hole.
                    continue
                if read is DamagedFileError and found is not read:
                    # Other files have all that is asked for.
                    read = await scanned(MemoryFiles(), user_id, until_s, MemoryTail(everything))
                assert found == read


async def outcome(asked: Awaitable[ListenerHistory]) -> ListenerHistory | type[HistoryError]:
    try:
        return await asked
    except HistoryError as error:
        return type(error)


async def test_of_an_archive_that_was_turned_on_late_only_the_beginning_is_read() -> None:
    files, blobs = MemoryFiles(), MemoryIndex()
    tail = MemoryTail([(NOON + at // 3, body_of(at)) for at in range(430)])
    paths = [
        files.add(capture_file(records(range(30 + 20 * minute, 50 + 20 * minute))), minute) for minute in range(20)
    ]
    index = ArchiveIndex(HubHistory(files, tail), blobs)
    await index.listener_history("ann")
    files.downloads.clear()
    tail.readings = 0
    found = await index.listener_history("ann", NOON + 100)
    # Those that a reading downloads ahead of what it needs.
    assert set(files.downloads) <= set(paths[: AHEAD_FILES + 1])
    assert tail.readings == 1
    assert found == await scanned(files, "ann", NOON + 100, tail)


async def test_two_processes_make_one_index() -> None:
    """The second to write finds that it was not the first, and goes on from what is there."""
    files, blobs = MemoryFiles(), MemoryIndex()
    for minute in range(6):
        files.add(capture_file(records(range(20 * minute, 20 * minute + 20))), minute)
        interfered: list[int] = []

        def write_once(seen: list[int] = interfered) -> None:
            if not seen and "0" in blobs.manifests:
                seen.append(1)
                manifest, etag = blobs.manifests["0"]
                blobs.manifests["0"] = manifest, f"{etag}+"

        blobs.others_write = write_once
        await check(files, ArchiveIndex(HubHistory(files), blobs))
    manifest, _ = blobs.manifests["0"]
    assert {one.path for one in manifest.files} == set(files.files)
    assert set(blobs.segments) == {one.blob for one in manifest.segments}


class SlowFiles(MemoryFiles):
    """Files of which those of the partition `slow` are read for ever; while one is, the others can't be read."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self.under_way = 0
        self._slow = slow
        self._is_waiting = asyncio.Event()

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        if f"/{self._slow}/" not in path:
            await self._is_waiting.wait()
            raise ServiceRequestError("away")
        self.under_way += 1
        self._is_waiting.set()
        try:
            await asyncio.Event().wait()
            raise AssertionError("nothing ends this but a cancellation")
        finally:
            # As a client that puts its connection away.
            await asyncio.sleep(0)
            self.under_way -= 1


async def test_when_one_partition_fails_nothing_is_read_on_behind_the_answer() -> None:
    """The caller closes the connections that it would be read by."""
    files = SlowFiles("1")
    files.add(capture_file(records(range(50))), 0, "0")
    files.add(capture_file(records(range(50))), 0, "1")
    async with asyncio.timeout(60):
        with pytest.raises(ServiceRequestError):
            await ArchiveIndex(HubHistory(files), MemoryIndex()).listener_history("ann")
    assert files.under_way == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_ids_do_not_stand_in_the_index() -> None:
    files, blobs = MemoryFiles(), MemoryIndex()
    files.add(capture_file(records(range(50))), 0)
    index = ArchiveIndex(HubHistory(files), blobs)
    await index.listener_history("ann")
    stored = b"".join(blobs.segments.values()) + b"".join(repr(one).encode() for one in blobs.manifests.values())
    assert not any(user_id.encode() in stored for user_id in LISTENERS)
    await index.drop()
    assert not blobs.segments
    await check(files, index)


@given(st.lists(st.lists(st.lists(st.integers(0, 40), max_size=8), max_size=40), max_size=4), st.data())
def test_a_segment_gives_each_hash_its_spans(files: list[list[list[int]]], data: st.DataObject) -> None:
    """Also joined with others, of which some files were dropped."""
    scale = (1 << 64) // 41
    made = [
        FileRows([(place * 100, 90) for place in range(len(spans))], [{one * scale for one in span} for span in spans])
        for spans in files
    ]
    half = data.draw(st.integers(0, len(made)))
    gone = set(data.draw(st.lists(st.integers(0, max(0, len(made) - 1)))))
    numbers = [-1 if place in gone else place for place in range(len(made))]
    total = joined([(rows_of_files(made[:half]), numbers[:half]), (rows_of_files(made[half:]), numbers[half:])])
    stored = total.encode()
    head = SegmentHead.read(stored[: head_bytes(len(total.rows), len(total.spans))], len(total.rows), len(total.spans))
    for wanted in range(41):
        at, size = head.rows_of(wanted * scale)
        found = {(one.file, one.at) for one in head.spans_in(stored[at : at + size], wanted * scale)}
        assert found == {
            (number, place * 100)
            for number, spans in enumerate(files)
            for place, span in enumerate(spans)
            if wanted in span and number not in gone
        }


def test_many_rows_of_one_hash_lie_over_several_fences() -> None:
    spans = 3_000
    rows = rows_of_files(
        [
            FileRows(
                [(place, 1) for place in range(spans)],
                [{5, 7} | ({6} if place == 9 else set()) for place in range(spans)],
            )
        ]
    )
    stored = rows.encode()
    head = SegmentHead.read(stored, len(rows.rows), len(rows.spans))
    for hashed, count in ((4, 0), (5, spans), (6, 1), (7, spans), (8, 0)):
        at, size = head.rows_of(hashed)
        assert len(head.spans_in(stored[at : at + size], hashed)) == count


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=300))
def test_there_are_few_segments_and_rows_are_written_a_few_times(fresh: list[int]) -> None:
    sizes: list[int] = []
    written = 0
    for rows in fresh:
        count = joined_with(sizes, rows)
        rows += sum(sizes[len(sizes) - count :])
        sizes = [*sizes[: len(sizes) - count], rows]
        written += rows
    assert len(sizes) <= 2 + sum(fresh).bit_length()
    assert written <= sum(fresh) * (2 + 2 * sum(fresh).bit_length())
    assert joined_with([MAX_ROWS], MAX_ROWS) == 0
