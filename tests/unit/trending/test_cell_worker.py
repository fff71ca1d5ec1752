"""What becomes of batches and flushes of a partition that is given up, or opened anew, while they are under way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from songline.processors.trending.cells import worker as cells
from songline.processors.trending.cells.hour_store import HourStore
from songline.processors.trending.cells.start_positions import StartPosition
from songline.processors.trending.cells.worker import CellWorker
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.faust.batched_app import FetchPosition
from songline.processors.trending.faust.changelog import Changelog
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS
from songline.schemas.channels import MUSIC_EVENTS, TRENDING_PARTIALS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from songline.schemas.moments import moment_at
from songline.schemas.name_matches import NO_MATCHES, MatchStatement, NameMatches, no_match, with_statement
from songline.schemas.policy import V1
from songline.schemas.progress import Watermark
from tests.support.gate import Gate
from tests.support.trending import KEY

FIRST_MS = 495_000 * HOUR_MS
BEGIN = StartPosition(Watermark(position=-1, through=moment_at(FIRST_MS)), 0)


class Parking:
    """A queue in which nothing waits, or that can't park while `is_away`."""

    full = False

    def __init__(self) -> None:
        self.is_away = False
        self.asked = asyncio.Event()

    def partitions(self, _: str) -> list[int]:
        return []

    def waiting(self, *_: object) -> int:
        return 0

    def forget(self, _: str) -> None:
        pass

    async def park(self, *_: object) -> bool:
        self.asked.set()
        return not self.is_away


class Guard:
    """Folds a batch as one piece, once what is noted of its partition is read."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.in_pieces = False

    async def fold(self, _: int, batch: Batch, __: str, ___: int | None, apply: Any, complete: Any) -> None:
        await self._gate.enter()
        apply(batch)
        if self.in_pieces:
            await complete(batch.end - 1)

    async def close(self) -> None:
        pass


class Stage:
    """Source partitions in the hands of one worker."""

    def __init__(self, matches: NameMatches = NO_MATCHES) -> None:
        self.now_ms = FIRST_MS - 10 * MINUTE_MS
        self.noting, self.sending, self.parking = Gate(), Gate(), Parking()
        self.guard = Guard(self.noting)
        self.acknowledged: list[int] = []
        self.sent: list[str] = []
        """The hub of each record."""
        self.committed: list[int] = []
        self.fetched: FetchPosition | None = None
        """Where the fetching of each partition stands."""
        consumer = SimpleNamespace(
            fetch_position=lambda _: self.fetched,
            ack=lambda message: self.acknowledged.append(message.offset),
            commit_through=self._commit,
        )
        app: Any = SimpleNamespace(consumer=consumer, producer=SimpleNamespace(send=self._send), on_hold=set[TP]())
        parking: Any = self.parking
        guard: Any = self.guard
        opener: Any = SimpleNamespace(
            assigned=lambda *_: None, revoked=lambda: None, reopen=lambda _: None, save_before_revoked=self._nothing
        )
        self.on_hold: set[TP] = app.on_hold
        saved = Changelog("cells", SimpleNamespace(data={}), parking, lambda *_: ())
        self.hours = hours = HourStore(saved, None, KEY, lambda: app.producer)
        self.worker = CellWorker(
            app, saved, hours, 1, lambda: self.now_ms, parking, guard, opener, V1, matches=lambda: matches
        )

    async def open(self, partitions: int = 1) -> None:
        """Hold so many partitions from their first event on."""
        await self.worker.assigned(dict.fromkeys(range(partitions)), "me")
        for number in range(partitions):
            self.worker.open(number, BEGIN)

    async def _nothing(self) -> None:
        pass

    async def _commit(self, _: object, position: int) -> None:
        self.committed.append(position)

    async def _send(self, hub: str, *_: object) -> Any:
        self.sent.append(hub)
        return self.sending.enter()

    async def consume(self, begin: int, count: int = 1, song_id: str = "song-1", partition: int = 0) -> None:
        """Consume a batch of plays, logged now."""
        data = SongPlayed(user_id="user-1", song_id=song_id, played_ms=60_000, duration_ms=90_000, region="DE")
        body = encode(Event(id="e", source="/tests", time=moment_at(self.now_ms), data=data))
        end = begin + count
        batch = Batch(begin, end, range(begin, end), [self.now_ms] * count, [body] * count)
        message = SimpleNamespace(partition=partition, offset=end - 1, value=batch)

        async def events() -> AsyncIterator[Any]:
            yield SimpleNamespace(message=message, value=batch)

        stream = SimpleNamespace(events=events)
        await self.worker.consume(SimpleNamespace(noack=lambda: stream))


async def give_up(worker: CellWorker) -> None:
    await worker.revoked()


async def close(worker: CellWorker) -> None:
    worker.close(0, None)


@pytest.mark.parametrize("end", [give_up, close])
async def test_a_batch_whose_partition_is_given_up_meanwhile_is_left_to_the_next_owner(
    end: Callable[[CellWorker], Awaitable[None]],
) -> None:
    stage = Stage()
    await stage.open()
    stage.noting.open.clear()
    consuming = asyncio.create_task(stage.consume(0))
    async with asyncio.timeout(60):
        await stage.noting.asked.wait()
        await end(stage.worker)
        stage.noting.open.set()
        await consuming
        await stage.worker.flush(now=True)
    assert stage.acknowledged == []


@pytest.mark.parametrize("end", [give_up, close])
async def test_a_piece_that_is_not_flushed_is_not_committed_when_its_partition_is_given_up(
    end: Callable[[CellWorker], Awaitable[None]],
) -> None:
    stage = Stage()
    await stage.open()
    stage.guard.in_pieces = stage.parking.is_away = True
    consuming = asyncio.create_task(stage.consume(0))
    async with asyncio.timeout(60):
        await stage.parking.asked.wait()
        await end(stage.worker)
        await consuming
    assert (stage.committed, stage.acknowledged) == ([], [])


async def test_a_play_of_a_name_counts_for_the_song_that_it_is_when_the_hub_takes_it() -> None:
    said_s = (FIRST_MS - 10 * MINUTE_MS) // 1_000
    statement = MatchStatement(said_s=said_s, partition=0, position=0, from_s=said_s + 5, song_id="song-1")
    stage = Stage(NameMatches({"name:x": with_statement(no_match("name:x"), statement)}))
    await stage.open()
    for begin, (after_s, song) in enumerate(((4, "name:x"), (5, "song-1"), (6, "song-1"))):
        stage.now_ms = (said_s + after_s) * 1_000
        await stage.consume(begin, song_id="name:x")
        assert stage.worker._songs.names[-1] == song
    assert stage.worker._songs.names == ["name:x", "song-1"]


async def test_open_hours_are_loaded_while_their_partition_waits_to_be_opened() -> None:
    stage = Stage()
    await stage.open()
    await stage.consume(0)
    async with asyncio.timeout(60):
        await stage.worker.flush(now=True)
        await stage.worker.revoked()
        await stage.worker.assigned({0: 1}, "you")
        await stage.worker.flush(now=True)
        await stage.worker._hours._loads[0].task
    stage.worker.open(0, BEGIN)
    assert list(stage.worker._sources[0].cells.loaded()) == [stage.now_ms // HOUR_MS]


async def test_a_piece_is_committed_once_it_is_flushed() -> None:
    stage = Stage()
    await stage.open()
    stage.guard.in_pieces = True
    async with asyncio.timeout(60):
        await stage.consume(0)
    assert stage.committed == [0]


async def test_pieces_of_partitions_that_wait_together_are_flushed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    await stage.open(3)
    stage.guard.in_pieces = True
    flushes: list[int] = []
    flush = stage.worker._flush

    async def counted(now_ms: int) -> None:
        flushes.append(now_ms)
        await flush(now_ms)

    monkeypatch.setattr(stage.worker, "_flush", counted)
    stage.sending.open.clear()
    pieces = [asyncio.create_task(stage.consume(0, partition=0))]
    async with asyncio.timeout(60):
        await stage.sending.asked.wait()
        pieces += [asyncio.create_task(stage.consume(0, partition=number)) for number in (1, 2)]
        # Each folds its piece, and waits for the flush that is under way.
        for _ in range(10):
            await asyncio.sleep(0)
        assert all(stage.worker._sources[number].position == 0 for number in range(3))
        stage.sending.open.set()
        await asyncio.gather(*pieces)
    assert (stage.committed, len(flushes)) == ([0, 0, 0], 2)


@pytest.mark.parametrize(("events", "together"), [(1, 3), (2, 1)])
async def test_partitions_with_many_events_are_flushed_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, events: int, together: int
) -> None:
    monkeypatch.setattr(cells, "FLUSH_EVENTS", 3)
    stage = Stage()
    await stage.open(3)
    for number in range(3):
        await stage.consume(0, events, partition=number)
    stage.sending.open.clear()
    flushing = asyncio.create_task(stage.worker.flush(now=True))
    async with asyncio.timeout(60):
        await stage.sending.asked.wait()
        assert stage.sent == [TRENDING_PARTIALS] * together
        stage.sending.open.set()
        await flushing
    assert stage.sent.count(TRENDING_PARTIALS) == stage.sent.count("cells") == 3
    assert stage.acknowledged == [events - 1] * 3


async def test_a_short_backlog_is_flushed_once_it_is_folded_and_in_larger_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cells, "FLUSH_EVENTS", 3)
    stage = Stage()
    await stage.open(3)
    await stage.worker.flush()
    stage.fetched = FetchPosition(4, stage.now_ms)
    for number in range(3):
        await stage.consume(0, 4 if number else 2, partition=number)
        await stage.worker.flush()
        assert (stage.acknowledged, stage.worker.news.is_set()) == ([], False)
    await stage.consume(2, 2)
    assert stage.worker.news.is_set()
    stage.sent.clear()
    await stage.worker.flush()
    assert (stage.acknowledged, stage.sent) == ([1, 3, 3, 3], [TRENDING_PARTIALS] * 3 + ["cells"] * 3)
    # What comes behind it is flushed as it is folded.
    stage.fetched = FetchPosition(8, stage.now_ms)
    stage.sent.clear()
    for number in range(2):
        await stage.consume(4, 2, "song-2", partition=number)
    await stage.worker.flush()
    assert (stage.acknowledged[4:], stage.sent) == ([5, 5], [TRENDING_PARTIALS, "cells"] * 2)


async def test_a_short_backlog_that_is_not_read_on_is_flushed_after_a_while() -> None:
    stage = Stage()
    await stage.open()
    await stage.worker.flush()
    stage.fetched = FetchPosition(4, stage.now_ms)
    await stage.consume(0, 2)
    stage.now_ms += cells.CATCH_UP_MS - 1
    await stage.worker.flush()
    assert stage.acknowledged == []
    stage.now_ms += 1
    await stage.worker.flush()
    assert stage.acknowledged == [1]


@pytest.mark.parametrize("why", ["a partition is on hold", "the clock was set back"])
async def test_a_short_backlog_is_flushed_at_once_where(why: str) -> None:
    stage = Stage()
    await stage.open()
    await stage.worker.flush()
    stage.fetched = FetchPosition(4, stage.now_ms)
    await stage.consume(0, 2)
    await stage.worker.flush()
    assert stage.acknowledged == []
    if why == "the clock was set back":
        stage.now_ms -= MINUTE_MS
    else:
        # It may wait for a flush that parks what can't be applied.
        stage.on_hold.add(TP(MUSIC_EVENTS, 0))
    await stage.worker.flush()
    assert stage.acknowledged == [1]


async def test_no_hour_is_loaded_beside_a_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    # It would lack what the flush is sending, which is saved at its end.
    stage = Stage()
    await stage.open()
    asked: list[Any] = []
    monkeypatch.setattr(stage.hours, "load_beside", lambda _, cells, __: asked.append(cells))
    await stage.consume(0)
    assert len(asked) == 1
    stage.sending.open.clear()
    flushing = asyncio.create_task(stage.worker.flush(now=True))
    async with asyncio.timeout(60):
        await stage.sending.asked.wait()
        await stage.consume(1)
        assert len(asked) == 1
        stage.sending.open.set()
        await flushing
        await stage.consume(2)
    assert len(asked) == 2


async def test_a_flush_under_way_says_nothing_of_a_partition_that_was_opened_anew() -> None:
    stage = Stage()
    await stage.open()
    await stage.consume(0)
    stage.sending.open.clear()
    flushing = asyncio.create_task(stage.worker.flush(now=True))
    async with asyncio.timeout(60):
        await stage.sending.asked.wait()
        stage.worker.close(0, 1)
        stage.worker.open(0, BEGIN)
        stage.sending.open.set()
        await flushing
    assert (stage.worker.flushed(0), stage.acknowledged) == (-1, [])


async def test_events_that_wait_for_an_hour_count_among_those_that_are_not_flushed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cells, "MOST_UNWRITTEN", 2)
    stage = Stage()
    await stage.open()
    async with asyncio.timeout(60):
        await stage.worker.flush(now=True)
        stage.now_ms = FIRST_MS + 500
        await stage.consume(0, 3)
        assert stage.on_hold == {TP(MUSIC_EVENTS, 0)}
        await stage.worker.flush(now=True)
    assert (stage.worker.flushed(0), stage.on_hold, stage.acknowledged) == (2, set(), [2])


async def test_a_flush_waits_for_no_sweep_of_blob_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, listing = Stage(), Gate()
    await stage.open(2)
    swept: list[int] = []

    async def delete_before(number: int, _: int) -> None:
        swept.append(number)
        await listing.enter()

    monkeypatch.setattr(stage.worker._hours, "delete_before", delete_before)
    listing.open.clear()
    sealing = asyncio.create_task(stage.worker.seal())
    async with asyncio.timeout(60):
        await listing.asked.wait()
        await stage.consume(0)
        await stage.worker.flush(now=True)
        assert (stage.acknowledged, swept) == ([0], [0])
        listing.open.set()
        await sealing
        await stage.worker.seal()
        assert swept == [0, 1], "once an hour"
        stage.now_ms += HOUR_MS
        await stage.worker.seal()
    assert swept == [0, 1, 0, 1]


async def test_a_flush_that_was_not_sent_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object, records: list[object]) -> None:
        assert not records

    stage = Stage()
    await stage.open()
    await stage.consume(0)
    monkeypatch.setattr(cells, "send_records", fail)
    with pytest.raises(AssertionError):
        await stage.worker.flush(now=True)
    assert not stage.worker._sources[0].cells.is_saved
