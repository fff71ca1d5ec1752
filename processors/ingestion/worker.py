"""The ingestion worker: lanes that carry out the commands of `song-commands`, and the reasons why it is not ready."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from azure.servicebus.aio import ServiceBusClient

from songline.processors.ingestion.clock_skew import ClockSkew, skew_limit_s
from songline.processors.ingestion.command_receiver import CommandReceiver, ReceiverConfig, clock_is_usable
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.message_handler import MessageHandler
from songline.processors.ingestion.queue_depth import QueueDepth
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, ProgressReport, not_ready

NAME = "ingestion"
RETRIES = 1
"""The retries of the SDK's Service Bus client. More would take longer than a lock lasts, and the lanes retry too."""


class IngestionWorker:
    """Runs the lanes, the clock measurement and the queue depth.

    `now` returns the time of day, `steady` monotonic seconds. Without a `clock`, this machine's clock counts as right.
    """

    def __init__(
        self,
        bus: ServiceBusClient,
        work: CommandRunner,
        pace: ReceiverConfig,
        clock: ClockSkew | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pace = pace
        self._clock = clock or ClockSkew(_right, now, steady)
        self._now = now
        self._steady = steady
        self.handling = MessageHandler(work, pace.attempts, pace.longest_pause, steady)
        self.lanes = [CommandReceiver(bus, self.handling, pace, self._clock, now, steady) for _ in range(pace.lanes)]
        self._queue = QueueDepth(bus, self._taken, self._services_now, steady)

    def report(self, waiting: Iterable[NotReadyReason] = ()) -> ProgressReport:
        """The worker's report. `waiting` has the reasons why the worker has not begun yet."""
        queue = self._queue.progress()
        reasons = tuple(waiting) or tuple(self.reasons())
        return ProgressReport(worker=NAME, as_of=self._now(), partitions=(queue,) if queue else (), reasons=reasons)

    def why_not(self) -> list[str]:
        """The reasons why the worker is not ready, as sentences."""
        return [reason.sentence for reason in self.reasons()]

    def reasons(self) -> list[NotReadyReason]:
        """The reasons why the worker is not ready."""
        return list(self._reasons())

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. Then each lane finishes its message within `grace` seconds, or abandons it."""
        await self._clock.refresh()
        lanes = [asyncio.create_task(lane.run(stop, self.may_take)) for lane in self.lanes]
        beside = (self._clock.run(stop), self._queue.run(stop), stop.wait())
        others = [asyncio.create_task(one) for one in beside]
        try:
            await asyncio.wait([*others, *lanes], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(lanes, timeout=self._pace.grace if stop.is_set() else 0)
        finally:
            for task in (*others, *lanes):
                task.cancel()
            ended = await asyncio.gather(*lanes, *others, return_exceptions=True)
        for result in ended:
            if isinstance(result, Exception):
                raise result

    def may_take(self) -> bool:
        """Whether the clock is right enough to take commands and to compare their ages."""
        return not any(lane.clock_refuses for lane in self.lanes) and clock_is_usable(self._clock, self._lock_s)

    def _taken(self) -> set[int]:
        return {lane.taken for lane in self.lanes if lane.taken is not None}

    def _services_now(self) -> datetime:
        return self._now() - timedelta(seconds=self._clock.seconds)

    @property
    def _lock_s(self) -> float:
        return min(lane.lock_s for lane in self.lanes)

    def _reasons(self) -> Iterator[NotReadyReason]:
        for away, is_denied in {(lane.away, lane.is_denied) for lane in self.lanes if lane.away is not None}:
            if is_denied:
                yield not_ready(
                    NAME, NotReadyCause.ACCESS_DENIED, f"the broker refuses this worker's key or role: {away}"
                )
            else:
                yield not_ready(NAME, NotReadyCause.SERVICE_AWAY, f"the broker does not answer: {away}")
        if not self.may_take():
            limit_s = skew_limit_s(self._lock_s)
            yield not_ready(
                NAME,
                NotReadyCause.CLOCK_AHEAD,
                f"this machine's clock is {self._clock.seconds:.0f} s ahead of the services', and locks of "
                f"{self._lock_s:.0f} s can be held up to {limit_s:.0f} s: no command is taken until it is set",
            )
        now_s = self._steady()
        for command, held in self.handling.held.items():
            if now_s - held.since_s >= self._pace.stall:
                sentence = f"{command} is held for {now_s - held.since_s:.0f} s: {held.why}"
                yield not_ready(NAME, held.cause, sentence)
        for lane in self.lanes:
            still_s = now_s - lane.seen_s
            if lane.taken is None and lane.away is None and still_s >= self._pace.wait + self._pace.stall:
                sentence = f"the broker has not answered a lane's request for commands for {still_s:.0f} s"
                yield not_ready(NAME, NotReadyCause.STANDS_STILL, sentence)


async def _right() -> float:
    return 0.0
