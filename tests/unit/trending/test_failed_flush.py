"""What was in a flush that failed is in no later one, so nothing behind it is acknowledged or committed.

The worker ends by it. Until it has, what waited for that flush may flush as well, and the hub be there again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from songline.processors.trending.faust.batch import Batch
from tests.unit.trending import test_cell_worker as cells
from tests.unit.trending import test_shard_worker as shards


@contextmanager
def away(stage: cells.Stage | shards.Stage) -> Iterator[None]:
    """A block in which the hub takes nothing, so that what is sent raises."""

    async def fail(*_: object) -> Any:
        raise KafkaConnectionError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stage.worker._app.producer, "send", fail)
        with pytest.raises(KafkaConnectionError):
            yield


async def test_behind_a_flush_that_failed_nothing_is_acknowledged() -> None:
    stage = cells.Stage()
    await stage.open(2)
    await stage.worker.flush(now=True)
    await stage.consume(0)
    with away(stage):
        await stage.worker.flush(now=True)
    await stage.consume(1)
    await stage.consume(0, partition=1)
    await stage.worker.flush(now=True)
    assert (stage.worker.flushed(0), stage.worker.flushed(1), stage.acknowledged) == (-1, 0, [0])


class Pieces:
    """Folds each batch as a piece, which is to be saved and committed."""

    async def fold(self, _: int, batch: Batch, __: str, ___: int | None, apply: Any, complete: Any) -> None:
        apply(batch)
        await complete(batch.end - 1)


async def test_behind_a_save_that_failed_nothing_is_acknowledged_or_committed() -> None:
    async def commit(_: object, position: int) -> None:
        committed.append(position)

    committed: list[int] = []
    stage = shards.Stage()
    await stage.worker.assigned({0: 0, 1: 0}, "me")
    await stage.consume(0, 0)
    with away(stage):
        await stage.worker.save()
    worker: Any = stage.worker
    worker._guard, worker._app.consumer.commit_through, worker._parking.park_all = (
        Pieces(),
        commit,
        worker._parking.park,
    )
    await stage.consume(1, 0)
    assert (committed, stage.acknowledged) == ([], [])
    await stage.consume(0, 0, shard=1)
    await stage.worker.save()
    assert (committed, stage.acknowledged) == ([0], [0])
