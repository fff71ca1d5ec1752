"""What a shard's worker restores where partitions are shared out anew before it has restored them."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from songline.processors.trending.faust.batch import ChangeBatch
from songline.processors.trending.shards.state import ShardHead, encode_head
from tests.unit.trending.test_shard_worker import Images, Stage


def change(offset: int, key: bytes, value: bytes) -> Any:
    """A record of shard 0 in the changelog, as Faust hands it over."""
    changes = ChangeBatch(offset, offset + 1, [offset], [0], [key], [value])
    return SimpleNamespace(message=SimpleNamespace(value=changes, partition=0))


async def test_what_was_being_restored_when_a_recovery_begins_takes_nothing_of_it() -> None:
    """Partitions were shared out twice, and Faust does not end what the first time has begun."""
    stage = Stage()
    images: Any = Images()
    stage.worker._images, saved = images, stage.worker._saved
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
    assert images.taken == []
    saved.apply([change(1, b"0/another/head", encode_head(ShardHead({1: 6}, {1: None})))])
    await stage.worker.assigned({0: 0}, "me")
    assert stage.worker.shards[0].watermark(stage.now_ms).positions == {0: 5, 1: 6}
