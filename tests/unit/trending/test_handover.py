"""A worker that goes on from what a rebuild has handed over makes the charts of the whole log."""

from collections.abc import Sequence
from itertools import count
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.audit import chart_reference as reference
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.sealed_blocks import unpack_block
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.cells.validation import check_chunk
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.handover import Hour, chunks_by_hour, sealed_blocks, split_values, with_positions
from songline.processors.trending.merge.state import Merge
from songline.processors.trending.shards.state import Shard, decode_head
from songline.processors.trending.shards.validation import check_saved
from songline.processors.trending.shards.wire import ReportPart
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.validation import StageLimits
from songline.processors.trending.watermark import position_at
from songline.schemas.envelope import encode
from songline.schemas.policy import V1
from songline.schemas.progress import Watermark
from tests.support.trending import KEY, written
from tests.unit.trending.test_pipeline import NOW, NOW_MS, PARTITIONS, SHARDS, events, lines, places, second

Place = tuple[int, int, bytes]
LIMITS = StageLimits(SHARDS, PARTITIONS, NOW_MS)


class Owner:
    """All stages in one process, with what was saved by the owner before."""

    def __init__(self, name: str, hours: dict[Hour, list[bytes]], saved: list[dict[str, bytes | None]]) -> None:
        count = len(saved)
        songs, regions, users = SongIndex(count), RegionIndex(), UserHashes()
        self.shards = [Shard(number, name, KEY) for number in range(count)]
        for shard, values in zip(self.shards, saved, strict=True):
            shard.advance(NOW_MS)
            shard.restore([(key, value) for key, value in values.items() if value is not None])
        self.sources = [
            SourcePartition(number, name, count, songs, regions, users, KEY, -1, 0, V1) for number in range(PARTITIONS)
        ]
        self._hours = hours
        self.chunks: dict[str, bytes | None] = {}

    def apply(self, log: Sequence[Place]) -> None:
        for source in self.sources:
            for number, offset, body in log:
                if number == source.number:
                    source.apply(Batch(offset, offset + 1, [offset], [second(offset) * 1_000], [body]))
            for hour in source.cells.missing():
                cell = source.cells.new_cell(hour)
                for block in self._hours.get((source.number, hour), []):
                    chunks = [chunk for chunk in unpack_block(block) if isinstance(chunk, bytes)]
                    cell.restore([check_chunk(chunk, KEY.id) for chunk in chunks])
                source.cells.add(cell)
            flush = source.flush(NOW_MS)
            self.chunks |= flush.chunks
            for shard, body in flush.partials:
                self.shards[shard].apply(partials.decode(body))

    def merged(self) -> Merge:
        merge = Merge(len(self.shards))
        for shard in self.shards:
            songs, tops = shard.report(whole=True)
            merge.apply(ReportPart(shard.number, True, True, songs, tops, shard.watermark(NOW_MS)))
        return merge


@effort(20)
@given(st.integers(0, 2**32 - 1))
def test_charts_equal_the_reference_after_a_hand_over(seed: int) -> None:
    random = Random(seed)
    log = events(random, 80)
    found = [(partition, offset, encode(event)) for partition, offset, event in places(log)]
    cut = random.randint(1, len(found))
    # One shard that counts all songs, or as many as the worker has.
    made = random.choice([1, SHARDS])
    rebuild = Owner("rebuild", {}, [{} for _ in range(made)])
    # Rebuilt in two steps, as one that was stopped and went on.
    steps = [found[: cut // 2], found[cut // 2 : cut]]
    saved: list[dict[str, bytes | None]] = [{} for _ in range(SHARDS)]
    for step in steps:
        rebuild.apply(step)
        sources = {source.number: Watermark(position=source.position, through=NOW) for source in rebuild.sources}
        parts = [with_positions(shard.flush(), sources) for shard in rebuild.shards]
        if made == 1:
            parts = list(split_values(parts[0], SHARDS).values())
        for values, part in zip(saved, parts, strict=True):
            values |= part
    for number, values in enumerate(saved):
        for key, value in values.items():
            if value is not None:
                check_saved(key.encode(), value, number, LIMITS)
    hours = {hour: list(sealed_blocks(chunks)) for hour, chunks in chunks_by_hour(rebuild.chunks).items()}

    worker = Owner("worker", hours, saved)
    # Some of what the rebuild has folded comes again.
    worker.apply(found[max(0, cut - random.randint(0, 20)) :])
    assert lines(written(worker.merged())) == reference.charts(places(log), NOW, second)


def test_positions_are_of_the_level_at_which_workers_count() -> None:
    sources = {0: Watermark(position=7, through=NOW, generation=2, resets=2), 1: Watermark(position=-1, through=None)}
    saved = {"1/before/head": b"further back", **Shard(1, "rebuild", KEY).flush()}
    values = with_positions(saved, sources)
    assert "1/before/head" not in values
    assert list(values)[-1] == "1/rebuild/head", "how far it is comes last"
    head = decode_head(values["1/rebuild/head"] or b"")
    assert head.positions == {0: position_at(4, 7), 1: -1}
    assert head.watermarks_ms == {0: NOW_MS, 1: None}
    assert head.waiting


def test_an_hours_chunks_are_sealed_in_blocks_of_a_bounded_size() -> None:
    numbers = count()
    chunks = {f"0/7/rebuild/{next(numbers)}": bytes(600_000) for _ in range(20)}
    by_hour = chunks_by_hour({**chunks, "1/7/rebuild/0": b"x", "0/8/rebuild/0": None})
    assert {hour: len(some) for hour, some in by_hour.items()} == {(0, 7): 20, (1, 7): 1}
    blocks = list(sealed_blocks(by_hour[0, 7]))
    assert sum(len(list(unpack_block(block))) for block in blocks) == 20
    assert max(map(len, blocks)) < 5_000_000
