"""What a worker restores of shards: by images that are loaded early, and where partitions are shared out anew."""

import asyncio
import threading
from random import Random
from types import SimpleNamespace
from typing import Any

from songline.processors.trending.faust.batch import ChangeBatch
from songline.processors.trending.shards.shard_image import ShardImage, decode_shard_image
from songline.processors.trending.shards.state import Shard, ShardHead, encode_head
from songline.processors.trending.spans import MINUTE_MS
from tests.support.shard_contents import contents
from tests.support.trending import KEY, Pipeline
from tests.unit.trending.test_pipeline import NOW_MS, SHARDS
from tests.unit.trending.test_shard_image import grown
from tests.unit.trending.test_shard_worker import Loads, Stage


class Images:
    """The images of a pipeline's shards."""

    shards = SHARDS

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.loaded: list[int] = []

    async def load(self, number: int) -> ShardImage:
        self.loaded.append(number)
        return decode_shard_image(self._pipeline._images[number])


async def hold_loaded(stage: Stage, pipeline: Pipeline, *numbers: int) -> None:
    """Recover and hold shards, which are those that their changelogs make then."""
    offsets = await stage.worker.begin_recovery(set(numbers))
    assert offsets.keys() == set(numbers)
    for number in numbers:
        begin, log = offsets[number] + 1, pipeline._logs[number]
        assert begin < len(log), "something was saved since"
        keys, values = zip(*((key.encode(), value) for key, value in log[begin:]), strict=True)
        changes = ChangeBatch(begin, len(log), range(begin, len(log)), [0] * len(keys), keys, values)
        stage.saved.apply([SimpleNamespace(message=SimpleNamespace(value=changes, partition=number))])
    await stage.worker.assigned(dict.fromkeys(numbers, 0), "me")
    assert stage.worker.shards.keys() == set(numbers)
    for number, shard in stage.worker.shards.items():
        expected = Shard(number, "another", KEY)
        expected.advance(stage.now_ms)
        expected.restore(pipeline.saved(number).items())
        assert contents(shard) == contents(expected)


async def test_shards_that_are_loaded_early_are_held_where_they_are_assigned() -> None:
    pipeline = grown(Random(7))
    images = Images(pipeline)
    stage = Stage(images)
    stage.now_ms = NOW_MS
    stage.worker.begin_early([*range(SHARDS), SHARDS])
    assert (await stage.worker.begin_recovery({0, 1})).keys() == {0, 1}
    # The partitions are shared out once more.
    await hold_loaded(stage, pipeline, 0)
    assert sorted(images.loaded) == [0, 1]
    before = stage.worker.shards[0].flush().keys() - pipeline.saved(0).keys()
    assert before
    await stage.worker.revoked()
    # What was loaded is given away once, and what was loaded of others was dropped.
    await hold_loaded(stage, pipeline, 0, 1)
    assert sorted(images.loaded) == [0, 0, 1, 1]
    assert before.isdisjoint(stage.worker.shards[0].flush()), "an owner's name never comes again"


async def test_what_is_loaded_early_is_dropped_where_others_are_assigned() -> None:
    pipeline = grown(Random(7))
    images = Images(pipeline)
    stage = Stage(images)
    stage.now_ms = NOW_MS
    stage.worker.begin_early([0])
    await stage.worker.begin_recovery({0})
    await hold_loaded(stage, pipeline, 1)
    await stage.worker.revoked()
    stage.now_ms += MINUTE_MS
    await hold_loaded(stage, pipeline, 0)
    assert images.loaded == [0, 1, 0]
    stage.worker.begin_early([1])
    stage.worker.drop_early()
    await hold_loaded(stage, pipeline, 1)
    assert images.loaded[3:] == [1], "it was dropped before it began"


def change(offset: int, key: bytes, value: bytes) -> Any:
    """A record of shard 0 in the changelog, as Faust hands it over."""
    changes = ChangeBatch(offset, offset + 1, [offset], [0], [key], [value])
    return SimpleNamespace(message=SimpleNamespace(value=changes, partition=0))


async def test_what_was_being_restored_when_a_recovery_begins_takes_nothing_of_it() -> None:
    """Partitions were shared out twice, and Faust does not end what the first time has begun."""
    stage = Stage()
    loads: Any = Loads()
    stage.worker._loads, saved = loads, stage.worker._saved
    checking, checked = threading.Event(), threading.Event()

    def check(*_: object) -> tuple[()]:
        checking.set()
        assert checked.wait(60)
        return ()

    saved._check = check
    saved._table.data[b"0/other/head"] = encode_head(ShardHead({0: 4}, {0: None}))
    await stage.worker.revoked()
    before = asyncio.create_task(stage.worker.assigned({0: 0}, "before"))
    await asyncio.to_thread(checking.wait, 60)
    assert await stage.worker.begin_recovery({0}) == {}
    saved.apply([change(0, b"0/other/head", encode_head(ShardHead({0: 5}, {0: None})))])
    checked.set()
    await before
    assert loads.taken == []
    saved.apply([change(1, b"0/another/head", encode_head(ShardHead({1: 6}, {1: None})))])
    await stage.worker.assigned({0: 0}, "me")
    assert stage.worker.shards[0].watermark(stage.now_ms).positions == {0: 5, 1: 6}
