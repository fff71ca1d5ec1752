"""The way over the disk, which events take while the hub can't be reached.

Off, nothing touches the disk. On, every event is written to the outbox, and is accepted with that; what was in the
lanes when it went on is written first. What is on disk is sent in order, in loads, each deleted when the hub has it.
While the last load is on its way, what comes is held in memory: so the detour ends under load too, and what was held
follows in the lanes.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from msgspec import Struct

from songline.producers.publishing.outbox import Outbox, OutboxFullError, StoredEvent
from songline.producers.publishing.partition_sender import LONGEST_PAUSE_S, Outcome, PublishCounts, QueuedEvent

logger = logging.getLogger("songline.producers.publishing.outbox")

LOAD_EVENTS = 4_000
SILENCE_S = 30.0
"""Seconds before the same thing is logged again: a full disk is found to be so with every event."""

_T = TypeVar("_T")


class _Arrival(Struct, eq=False):
    """An event to be written, `done` with that; `pending` is its other self where it is in a lane as well.

    `accepted_at` is in Unix seconds, `since` in monotonic ones; `number` is the outbox's, 0 before it is
    written, -1 where it could not be.
    """

    body: bytes
    partition_key: str
    accepted_at: float
    since: float
    done: asyncio.Future[Outcome]
    pending: QueuedEvent | None = None
    number: int = 0


class Spillover:
    """The detour over `outbox`, whose disk work is done in `thread`.

    `send` puts an event into its lane, `released` is called for each that leaves the buffer for the disk, `now` gives
    Unix seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        thread: ThreadPoolExecutor,
        tally: PublishCounts,
        send: Callable[[QueuedEvent], None],
        released: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._outbox, self._thread, self._tally = outbox, thread, tally
        self._send, self._released, self._now = send, released, now
        self._arrived: list[_Arrival] = []
        self._held: list[_Arrival] = []
        self._ahead: list[_Arrival] = []
        self._gone = 0
        self._logged: dict[str, float] = {}
        self._begun, self._stirred, self._wrote, self._idle = (asyncio.Event() for _ in range(4))
        self._idle.set()
        self._holding = self._stopping = False

    @property
    def is_on(self) -> bool:
        return self._begun.is_set()

    def begin(self, in_lanes: Iterable[QueuedEvent] = ()) -> None:
        """Go on. What is `in_lanes` stays there, and is written ahead of what comes, as far as there is room."""
        for pending in in_lanes:
            try:
                self._outbox.reserve(pending.partition_key, pending.body)
            except OutboxFullError:
                # It goes on waiting in its lane, not accepted yet.
                continue
            arrival = self._arrival(pending.body, pending.partition_key, pending.done, pending)
            pending.done, pending.kept = asyncio.get_running_loop().create_future(), True
            self._ahead.append(arrival)
            self._write_soon([arrival])
        if not self.is_on:
            self._log(
                logging.WARNING,
                "on",
                "the hub does not take events, or there are some of before: they go to the outbox",
            )
        self._begun.set()

    def put(self, body: bytes, partition_key: str, done: asyncio.Future[Outcome]) -> None:
        """Take an event, which is in the buffer until it is on disk; raises OutboxFullError."""
        self._outbox.reserve(partition_key, body)
        arrival = self._arrival(body, partition_key, done)
        if self._holding:
            self._held.append(arrival)
        else:
            self._write_soon([arrival])

    def hold_no_longer(self, before: float = float("inf")) -> None:
        """Write what is held, if some of it is held since `before` (monotonic seconds): the end is not near."""
        if self._holding and (not self._held or self._held[0].since < before):
            held, self._held, self._holding = self._held, [], False
            self._write_soon(held)

    async def write(self) -> None:
        """Write what arrives, as much at a time as has come meanwhile; until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            arrived, self._arrived = self._arrived, []
            rows = [(each.partition_key, each.accepted_at, each.body) for each in arrived]
            try:
                last = await self._on_disk(lambda rows=rows: self._outbox.append(rows))  # type: ignore[misc]
            except OutboxFullError as failure:
                self._log(logging.ERROR, "full", str(failure))
                self._refuse(arrived, failure)
            else:
                self._keep(arrived, last)
            self._wrote.set()
            if not self._arrived:
                self._idle.set()

    async def pump(self, connected: asyncio.Event) -> None:
        """Send what is on disk, whenever there is something and there are lanes; until `stop`, or cancelled."""
        await connected.wait()
        while True:
            await self._begun.wait()
            await self._settle_ahead()
            self._wrote.clear()
            load = await self._insist(lambda: self._outbox.read(self._gone, LOAD_EVENTS))
            if self._stopping:
                return
            self._holding = len(load) < LOAD_EVENTS
            if load:
                await self._send_load(load)
            elif self._outbox.events == len(self._held):
                await self._end()
            else:
                await self._wrote.wait()

    async def flush(self) -> None:
        """Return when everything that came is on disk, or refused."""
        self.hold_no_longer()
        await self._idle.wait()

    def stop(self) -> None:
        """Send no further load."""
        self._stopping = True

    def _arrival(
        self, body: bytes, partition_key: str, done: asyncio.Future[Outcome], pending: QueuedEvent | None = None
    ) -> _Arrival:
        return _Arrival(body, partition_key, self._now(), monotonic(), done, pending)

    def _write_soon(self, arrivals: Sequence[_Arrival]) -> None:
        if arrivals:
            self._arrived += arrivals
            self._idle.clear()
            self._stirred.set()

    def _keep(self, arrived: Sequence[_Arrival], last: int) -> None:
        for number, each in enumerate(arrived, last - len(arrived) + 1):
            each.number = number
            self._released()
            # The sender may have stopped waiting.
            if not each.done.done():
                each.done.set_result("kept")

    def _refuse(self, arrived: Sequence[_Arrival], failure: OutboxFullError) -> None:
        for each in arrived:
            self._outbox.give_back(each.partition_key, each.body)
            each.number = -1
            if each.pending is not None:
                # Neither the hub nor the disk takes it, and its sender need not wait to learn that; if its lane has
                # succeeded meanwhile, so much the better.
                sent = each.pending.done
                each.pending.done, each.pending.kept = each.done, False
                if sent.cancel():
                    each.pending.given_up = True
                    if not each.done.done():
                        each.done.set_exception(failure)
                else:
                    self._released()
                    if not each.done.done():
                        each.done.set_result("sent")
                continue
            self._tally.failed += 1
            self._released()
            if not each.done.done():
                each.done.set_exception(failure)

    async def _settle_ahead(self) -> None:
        """Wait for what the lanes had when the detour began."""
        ahead, self._ahead = self._ahead, []
        if not ahead:
            return
        sent = await _sent([each.pending.done for each in ahead if each.pending is not None])
        while not ahead[-1].number:
            await self._wrote.wait()
            self._wrote.clear()
        if sent == len(ahead) and ahead[-1].number > 0:
            await self._forget(ahead[-1].number)

    async def _send_load(self, load: Sequence[StoredEvent]) -> None:
        loop, since = asyncio.get_running_loop(), monotonic()
        sending = [QueuedEvent(each.body, each.partition_key, since, loop.create_future(), kept=True) for each in load]
        for pending in sending:
            self._send(pending)
        if sent := await _sent([pending.done for pending in sending]):
            await self._forget(load[sent - 1].number)

    async def _forget(self, through: int) -> None:
        self._gone = through
        await self._insist(lambda: self._outbox.delete(through))

    async def _end(self) -> None:
        """Go off: nothing is on disk or about to be, and what is held follows in the lanes."""
        for each in self._held:
            self._outbox.give_back(each.partition_key, each.body)
            self._send(QueuedEvent(each.body, each.partition_key, each.since, each.done))
        self._held, self._holding = [], False
        self._begun.clear()
        self._log(logging.WARNING, "off", "the outbox is empty: events go to the hub again")
        await self._insist(self._outbox.shrink)

    async def _insist(self, work: Callable[[], _T]) -> _T:
        """Until the disk does it: what it holds has been accepted."""
        while True:
            try:
                return await self._on_disk(work)
            except OSError as error:
                self._log(logging.ERROR, "disk", str(error))
                await asyncio.sleep(LONGEST_PAUSE_S)

    def _log(self, level: int, what: str, line: str) -> None:
        now_s = monotonic()
        if now_s - self._logged.get(what, -SILENCE_S) >= SILENCE_S:
            self._logged[what] = now_s
            logger.log(level, "%s", line)

    async def _on_disk(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def _sent(done: Sequence[asyncio.Future[Outcome]]) -> int:
    """How many of these, from the first, the hub has when all are settled."""
    results = await asyncio.gather(*done, return_exceptions=True)
    return next((place for place, result in enumerate(results) if result != "sent"), len(results))
