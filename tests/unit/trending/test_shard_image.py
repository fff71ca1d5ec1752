"""A shard that is restored by its image and what was saved since is the one that its changelog makes."""

from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from localcloud_tests.support.fuzzing import effort
from songline.processors.trending.cells.derived_file import BrokenFileError
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.faust.batch import ChangeBatch
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.shards.saved_tables import decode_section
from songline.processors.trending.shards.saved_through import SavedThrough
from songline.processors.trending.shards.shard_image import decode_shard_image
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS, UNIT_MS
from tests.support.trending import Pipeline
from tests.unit.trending.test_pipeline import NOW_MS, PARTITIONS, SHARDS, events, logs_of

seeds = st.integers(0, 2**32 - 1)


def grown(random: Random, count: int = 90) -> Pipeline:
    """A pipeline that has counted and saved events, and has images of its shards."""
    pipeline = Pipeline(logs_of(events(random, count)), SHARDS, NOW_MS)
    for source in range(PARTITIONS):
        pipeline.read(source, count)
        pipeline.flush(source)
    for shard in range(SHARDS):
        pipeline.apply(shard, 100)
        pipeline.save_shard(shard)
        pipeline.image(shard, random)
    return pipeline


@effort(30)
@given(seeds)
def test_an_image_changes_nothing_whatever_happens_before_and_behind_it(seed: int) -> None:
    random = Random(seed)
    pipeline = Pipeline(logs_of(events(random, 90)), SHARDS, NOW_MS)
    for _ in range(90):
        source, shard = random.randrange(PARTITIONS), random.randrange(SHARDS)
        dies_after = random.choice([None, None, random.randrange(20)])
        match random.choices(
            ["read", "apply", "save", "image", "time", "lose", "save lost", "image lost", "record", "restart"],
            [8, 8, 6, 4, 2, 1, 1, 1, 3, 4],
        )[0]:
            case "read":
                pipeline.read(source, random.randint(1, 6))
                pipeline.flush(source)
            case "apply":
                pipeline.apply(shard, random.randint(1, 6))
            case "save":
                pipeline.save_shard(shard, dies_after)
            case "image":
                pipeline.image(shard, random)
            case "time":
                pipeline.now_ms += random.choice([MINUTE_MS, 7 * MINUTE_MS, HOUR_MS, 30 * HOUR_MS])
                for number in range(SHARDS):
                    pipeline.advance(number, pipeline.now_ms)
            case "lose":
                pipeline.change(shard)
            case "save lost":
                pipeline.save_lost(shard)
            case "image lost":
                pipeline.image(shard, random, lost=True)
            case "record":
                pipeline.record(shard, random.randint(1, 4))
            case _:
                # It compares what the image makes with what the changelog makes.
                pipeline.restart_shard(shard)
    for shard in range(SHARDS):
        pipeline.restart_shard(shard)


@pytest.mark.parametrize("left", ["nothing", "less", "more"])
def test_what_is_saved_less_of_than_an_image_has_is_taken_away(left: str) -> None:
    """An image of an owner that had lost the shard may have more of a table than is saved of it."""
    random = Random(3)
    pipeline = grown(random)
    saved = pipeline.saved(0)
    counts = [key for key in saved if key.split("/")[2] in UNIT_MS]
    tables = sorted({key.rsplit("/", 1)[0].split("/", 2)[2] for key in counts})
    assert len(tables) > 3
    for table in tables[::2]:
        of_table = [key for key in counts if f"/{table}/" in key]
        values = [saved[key] for key in of_table]
        for key in of_table:
            pipeline._save(0, key, None)
        if left != "nothing":
            pipeline._save(0, f"0/other/{table}/0", counted_less(values[0]))
        if left == "more":
            pipeline._save(0, f"0/other/{table}/1", values[-1])
    for _ in range(5):
        # Each time it was filled another time before.
        pipeline.restart_shard(0)


def counted_less(value: bytes) -> bytes:
    """Saved counts without their first row, each half as great."""
    section = decode_section(value)
    counts = np.frombuffer(section.counts, "<i4").reshape(-1, KINDS) // 2
    return msgspec.msgpack.encode(
        structs.replace(
            section,
            song=section.song[4:],
            region=section.region[2:],
            bucket=section.bucket[4:],
            counts=counts[1:].tobytes(),
        )
    )


def test_a_damaged_image_is_told() -> None:
    random = Random(7)
    data = grown(random)._images[0]
    image = decode_shard_image(data)
    assert image.tables
    assert image.header.keys
    for place in {0, 5, 20, len(data) // 2, len(data) - 1, *(random.randrange(len(data)) for _ in range(50))}:
        with pytest.raises(BrokenFileError):
            decode_shard_image(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    for short in (b"", data[:3], data[:11], data[:-1], data + b"x"):
        with pytest.raises(BrokenFileError):
            decode_shard_image(short)


def test_an_image_covers_no_record_of_another_owner() -> None:
    through = SavedThrough(9, 0)
    assert not through.is_flushed
    through.advance([11, 10], 5)
    assert (through.offset, through.size_bytes, through.is_flushed, through.is_whole) == (11, 5, True, True)
    through.advance([13, 14], 5)
    through.advance([15], 5)
    assert (through.offset, through.size_bytes, through.is_whole) == (11, 15, False), "what stands at 12 is not known"


async def test_recovery_begins_with_what_an_image_has() -> None:
    table = SimpleNamespace(data={b"1/stale": b"x"}, app=SimpleNamespace(tables=SimpleNamespace(recovery=None)))
    table.app.tables.recovery = SimpleNamespace(active_offsets={TP("shards", 1): 7, TP("cells", 1): 7})
    parking: Any = None
    checked: list[bytes] = []

    def check(records: list[tuple[bytes, bytes]], _: int) -> tuple[()]:
        checked.extend(key for key, _ in records)
        return ()

    saved = Changelog("shards", table, parking, check)
    saved.begin({"1/a/head": b"h", "1/a/minute/1/1/1": b"", "1/a/minute/2/1/1": b""}, {1: 7})
    assert saved.recovered_through(1) == 7
    assert table.app.tables.recovery.active_offsets == {TP("cells", 1): 7}
    changes = ChangeBatch(
        7, 10, [7, 8, 9], [0, 0, 0], [b"1/a/minute/1/1/1", b"1/a/head", b"1/a/minute/3/1/1"], [None, b"i", b"t"]
    )
    saved.apply([SimpleNamespace(message=SimpleNamespace(value=changes, partition=1))])
    assert saved.recovered_through(1) == 9
    await saved.prune({1})
    assert sorted(checked) == [b"1/a/head", b"1/a/minute/3/1/1"], "what an image has was held to the rules before"
    assert dict(saved.records("1/")) == {b"1/a/head": b"i", b"1/a/minute/2/1/1": b"", b"1/a/minute/3/1/1": b"t"}
