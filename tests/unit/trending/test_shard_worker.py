"""What a shard's worker acknowledges, and what it does with batches whose shard was given up meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from songline.processors.trending.cells.wire import Partial, no_rows, pack
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.batched_app import FetchPosition
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.faust.record_sender import OutgoingRecord
from songline.processors.trending.shards import worker
from songline.processors.trending.shards.hour_alignment import HOLD_MS
from songline.processors.trending.shards.report_turns import ReportTurns
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.worker import BACKLOG_WAIT_MS, ShardWorker
from songline.processors.trending.song_index import SongIndex
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS
from songline.processors.trending.validation import StageLimits
from songline.schemas.channels import TRENDING_PARTIALS
from songline.schemas.policy import V1
from tests.support.gate import Gate
from tests.support.trending import KEY

HOUR = 495_000
FIRST_MS = HOUR * HOUR_MS


class Parking:
    """A queue in which nothing waits to be parked."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def partitions(self, _: str) -> list[int]:
        return []

    def forget(self, _: str) -> None:
        pass

    async def park(self, *_: object) -> bool:
        await self._gate.enter()
        return True


class Guard:
    """Folds a batch as a whole, once what is noted of its partition is read."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def fold(self, _: int, batch: Batch, __: str, ___: int | None, apply: Any, ____: Any) -> None:
        await self._gate.enter()
        apply(batch)

    async def close(self) -> None:
        pass


class Stage:
    """The shards of one worker, of two of them, over two source partitions."""

    def __init__(self, images: Any = None) -> None:
        self.now_ms = FIRST_MS - HOUR_MS // 2
        self.parking, self.noting = Gate(), Gate()
        self.fetched: FetchPosition | None = None
        self.acknowledged: list[int] = []
        self.read_again: list[dict[Any, int]] = []
        self.sent = 0
        self.owners = count()
        self.has_backlog = False
        consumer = SimpleNamespace(
            fetch_position=lambda _: self.fetched,
            ack=lambda message: self.acknowledged.append(message.offset),
            earliest_offsets=self._earliest,
            seek_wait=self._seek,
        )
        app: Any = SimpleNamespace(consumer=consumer, producer=SimpleNamespace(send=self._send))
        recovery = SimpleNamespace(active_offsets={})
        table = SimpleNamespace(data={}, app=SimpleNamespace(tables=SimpleNamespace(recovery=recovery)))
        parking: Any = Parking(self.parking)
        guard: Any = Guard(self.noting)
        self.saved = Changelog("shards", table, parking, lambda *_: ())
        self.worker = ShardWorker(
            app,
            self.saved,
            lambda: StageLimits(shards=2, sources=2, now_ms=self.now_ms),
            lambda: self.now_ms,
            ReportTurns(60_000, 30),
            parking,
            guard,
            KEY,
            lambda: f"worker-{next(self.owners)}",
            V1,
            has_backlog=lambda: self.has_backlog,
            images=images,
        )

    async def _send(self, _: str, __: object, ___: object, partition: int, *____: object) -> Any:
        self.sent += 1
        return asyncio.sleep(0, SimpleNamespace(partition=partition, offset=self.sent))

    async def _earliest(self, tp: Any) -> dict[Any, int]:
        return {tp: 0}

    async def _seek(self, offsets: dict[Any, int]) -> None:
        self.read_again.append(offsets)

    async def consume(self, offset: int, *sources: int, hour: int | None = None, shard: int = 0) -> None:
        """Consume a batch of a message of each source for a shard."""
        nothing = pack(no_rows(), SongIndex(1))
        bodies = [msgspec.msgpack.encode(Partial(source, 7, None, nothing, nothing, [], hour)) for source in sources]
        offsets = range(offset, offset + len(bodies))
        batch = Batch(offset, offsets.stop, offsets, [self.now_ms] * len(bodies), bodies)
        message = SimpleNamespace(partition=shard, offset=offsets[-1], value=batch)

        async def events() -> AsyncIterator[Any]:
            yield SimpleNamespace(message=message, value=batch)

        stream = SimpleNamespace(events=events)
        async with asyncio.timeout(60):
            await self.worker.consume(SimpleNamespace(noack=lambda: stream))


async def test_a_save_that_is_under_way_acknowledges_nothing_that_waits_for_an_hour() -> None:
    stage = Stage()
    await stage.worker.assigned({0: 0}, "me")
    stage.now_ms = FIRST_MS + 500
    await stage.consume(0, 0, hour=HOUR)
    stage.parking.open.clear()
    saving = asyncio.create_task(stage.worker.save())
    async with asyncio.timeout(60):
        await stage.parking.asked.wait()
        await stage.consume(1, 0)
        stage.parking.open.set()
        await saving
        assert stage.acknowledged == []
        stage.now_ms += HOLD_MS + 1
        await stage.worker.report()
        await stage.worker.save()
    assert stage.acknowledged == [0, 1]


@pytest.mark.parametrize("held_next", [0, 1])
async def test_a_batch_whose_shard_is_given_up_meanwhile_is_left_to_the_next_owner(held_next: int) -> None:
    stage = Stage()
    await stage.worker.assigned({0: 0}, "me")
    stage.noting.open.clear()
    consuming = asyncio.create_task(stage.consume(0, 0))
    async with asyncio.timeout(60):
        await stage.noting.asked.wait()
        await stage.worker.revoked()
        await stage.worker.assigned({held_next: 0}, "me again")
        stage.noting.open.set()
        await consuming
        await stage.worker.save()
    assert stage.worker.shards[held_next].watermark(stage.now_ms).positions == {}
    assert stage.acknowledged == []


async def test_what_comes_before_a_shard_is_restored_is_read_again() -> None:
    stage = Stage()
    await stage.worker.assigned({0: 0}, "me")
    shards, stage.worker._shards = stage.worker._shards, {}
    await stage.consume(0, 0)
    stage.worker._shards = shards
    await stage.consume(1, 0)
    await stage.worker.save()
    assert (stage.read_again, stage.acknowledged) == ([{TP(TRENDING_PARTIALS, 0): 0}], [])


async def test_a_clock_that_is_set_back_makes_nothing_wait_longer() -> None:
    stage = Stage()
    await stage.worker.assigned({0: 0}, "me")
    stage.now_ms = FIRST_MS + 500
    await stage.consume(0, 0, hour=HOUR)
    await stage.consume(1, 0)
    stage.now_ms -= HOUR_MS
    await stage.worker.report()
    await stage.worker.save()
    assert stage.acknowledged == [0, 1]


@pytest.mark.parametrize(("together_bytes", "applied"), [(100_000, [2, 2, 1]), (0, [1, 1, 1, 1, 1])])
async def test_small_messages_are_applied_together_one_of_each_source(
    together_bytes: int, applied: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    apply = Shard.apply

    def counted(shard: Shard, *messages: Partial) -> None:
        seen.append(len(messages))
        apply(shard, *messages)

    monkeypatch.setattr(Shard, "apply", counted)
    monkeypatch.setattr(worker, "TOGETHER_BYTES", together_bytes)
    stage = Stage()
    await stage.worker.assigned({0: 0}, "me")
    await stage.consume(0, 0, 1, 1, 0, 0)
    assert seen == applied
    assert stage.worker.shards[0].watermark(stage.now_ms).positions == {0: 7, 1: 7}


@pytest.mark.parametrize(("together_bytes", "sent"), [(500_000, [{0, 1}]), (0, [{0}, {1}])])
async def test_small_shards_are_saved_together(
    together_bytes: int, sent: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int | None]] = []
    acknowledged: list[list[int]] = []

    async def send(_: object, records: list[OutgoingRecord]) -> list[Any]:
        if records:
            seen.append({one.partition for one in records})
            acknowledged.append(list(stage.acknowledged))
        return [SimpleNamespace(partition=one.partition, offset=0) for one in records]

    monkeypatch.setattr(worker, "send_records", send)
    monkeypatch.setattr(worker, "SAVED_TOGETHER_BYTES", together_bytes)
    stage = Stage()
    await stage.worker.assigned({0: 0, 1: 0}, "me")
    for shard in (0, 1):
        await stage.consume(0, 0, shard=shard)
    await stage.worker.save()
    assert seen == sent
    assert acknowledged[0] == [], "nothing is acknowledged before it is sent"
    assert stage.acknowledged == [0, 0]


async def report(stage: Stage) -> None:
    await stage.worker.report()


async def take(stage: Stage) -> None:
    await stage.consume(0, 0)


@pytest.mark.parametrize("work", [report, take])
async def test_windows_slide_beside_the_event_loop_and_nothing_is_applied_meanwhile(
    work: Callable[[Stage], Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage()
    await stage.worker.assigned({0: 0, 1: 0}, "me")
    sliding, others = threading.Event(), threading.Event()
    advance = Shard.advance

    def slow(shard: Shard, now_ms: int) -> None:
        sliding.set()
        assert others.wait(60), "the event loop had no turn"
        advance(shard, now_ms)

    monkeypatch.setattr(Shard, "advance", slow)
    stage.now_ms += MINUTE_MS
    working = asyncio.create_task(work(stage))
    await asyncio.to_thread(sliding.wait, 60)
    locks = [stage.worker._locks[number].locked() for number in range(2)]
    others.set()
    await working
    assert any(locks)
    assert not any(shard.slides(stage.now_ms) for shard in stage.worker.shards.values())


async def test_a_report_waits_for_all_of_a_flush() -> None:
    stage = Stage()
    await stage.worker.assigned({0: 0}, "me")
    stage.fetched = FetchPosition(end=2, polled_ms=0)
    await stage.consume(0, 0)
    assert not stage.worker.news.is_set()
    await stage.consume(1, 0)
    assert stage.worker.news.is_set()


async def test_the_first_report_waits_for_a_backlog_for_a_while() -> None:
    stage = Stage()
    stage.has_backlog = True
    await stage.worker.assigned({0: 0}, "me")
    stage.now_ms += BACKLOG_WAIT_MS - 1
    await stage.consume(0, 0)
    await stage.worker.report()
    assert stage.sent == 0
    stage.has_backlog = False
    await stage.worker.report()
    first = stage.sent
    assert first > 0
    stage.has_backlog = True
    stage.now_ms += 1
    await stage.consume(1, 0)
    await stage.worker.report()
    assert stage.sent > first, "it is not waited for any longer"


async def test_a_report_that_is_wanted_now_waits_for_no_backlog() -> None:
    stage = Stage()
    stage.has_backlog = True
    await stage.worker.assigned({0: 0}, "me")
    await stage.worker.report(now=True)
    assert stage.sent > 0


async def test_a_clock_that_is_set_back_lets_no_report_wait() -> None:
    stage = Stage()
    stage.has_backlog = True
    await stage.worker.assigned({0: 0}, "me")
    stage.now_ms -= HOUR_MS
    await stage.worker.report()
    assert stage.sent > 0


class Loads:
    """Shards that are asked for, and never loaded."""

    def __init__(self) -> None:
        self.taken: list[set[int]] = []

    async def images(self, _: Any) -> dict[int, Any]:
        return {}

    def take(self, numbers: Any) -> dict[int, Any]:
        self.taken.append(set(numbers))
        return {}


def recovered(stage: Stage, through: int) -> None:
    """The changelog of shard 0 was recovered so far; what is sent to it stands behind that."""
    nowhere: Any = SimpleNamespace()
    stage.worker._images = nowhere
    stage.worker._saved.begin({}, {0: through})
    offsets = count(through + 1)

    async def send(*_: object) -> Any:
        return asyncio.sleep(0, SimpleNamespace(partition=0, offset=next(offsets)))

    stage.worker._app.producer.send = send


async def test_an_image_covers_what_was_recovered_and_saved() -> None:
    stage = Stage()
    recovered(stage, 9)
    await stage.worker.assigned({0: 0}, "me")
    assert {number: one.offset for number, one in stage.worker._through.items()} == {0: 9}
    await stage.worker.save()
    assert not stage.worker._through[0].is_flushed
    await stage.consume(0, 0)
    await stage.worker.save()
    assert (stage.worker._through[0].offset, stage.worker._through[0].is_flushed) == (10, True)
    await stage.worker.revoked()
    assert stage.worker._through == {}


async def test_no_image_is_made_behind_a_save_that_went_wrong() -> None:
    async def fail(*_: object) -> Any:
        raise KafkaConnectionError

    stage = Stage()
    recovered(stage, 9)
    await stage.worker.assigned({0: 0}, "me")
    await stage.consume(0, 0)
    stage.worker._app.producer.send = fail
    with pytest.raises(KafkaConnectionError):
        await stage.worker.save()
    assert stage.worker._through == {}


async def test_what_is_assigned_meanwhile_keeps_what_is_loaded() -> None:
    stage = Stage()
    loads: Any = Loads()
    stage.worker._loads = loads
    checking, checked = threading.Event(), threading.Event()

    def check(*_: object) -> tuple[()]:
        checking.set()
        assert checked.wait(60)
        return ()

    stage.worker._saved._check = check
    stage.worker._saved._table.data[b"0/other/head"] = b"\x90"
    before = asyncio.create_task(stage.worker.assigned({0: 0}, "me"))
    await asyncio.to_thread(checking.wait, 60)
    await stage.worker.revoked()
    stage.worker._saved.clear()
    await stage.worker.assigned({0: 0}, "me again")
    assert loads.taken == [{0}]
    checked.set()
    await before
    assert loads.taken == [{0}], "they are not those of the owner before"
    assert stage.worker._owner == "me again"
