"""A live run of a simulation: each event is sent at its own time."""

import asyncio
import signal
from collections.abc import Iterator, MutableSequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from math import inf
from time import monotonic
from typing import TypeAlias

from msgspec import Struct

from songline.cloud.settings import EventHubsSettings
from songline.producers.http.announcer import Announcer
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.publishing.state import Outcome
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Due, Simulation
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed, SongRemoved, SongUploaded
from songline.schemas.live import LiveEvent, PlaybackStarted

CATCH_UP = timedelta(seconds=10)
SAMPLES_PER_S = 2.0
LINGER_MS = 250.0
"""How long an event waits for others of its partition: the hub and its readers have work for each batch."""
_EARLY_S = 0.005
_CLOSE_S = 5.0
_YIELD_EVERY = 500

SENT, PASSED_OVER, HANDED_OVER, UNSENT = range(4)
"""Indexes in an account: the number of events that the hub has, of those that were skipped as overdue, of those that
the publisher took, and of those of them that it could not send."""

Account: TypeAlias = MutableSequence[int]


class LiveRunPlan(Struct, frozen=True, kw_only=True):
    """The events of a run: `count` of them, or `duration` seconds of them, or without end; in `parts` processes."""

    seed: int
    config: SimulationConfig
    count: int | None = None
    duration: float | None = None
    parts: int = 1

    def events(self, start: datetime, part: int) -> Iterator[Due]:
        """The events of part `part` from `start` on; raises ValueError for a start before 2001."""
        events = iter(Simulation(self.seed, start, self.config, part=part, parts=self.parts))
        if self.duration is not None:
            length = timedelta(seconds=self.duration)
            events = takewhile(lambda due: due[0] - start < length, events)
        if self.count is not None:
            events = islice(events, len(range(part, self.count, self.parts)))
        return events


class NowPlayingSampler:
    """Announces the song that a sampled listener starts, at most `per_s` times a second."""

    def __init__(self, announcer: Announcer, per_s: float = SAMPLES_PER_S) -> None:
        self._announcer, self._pause_s = announcer, 1 / per_s
        self._published_at = -inf
        self._publishing: asyncio.Task[None] | None = None

    def sample(self, event: Event) -> None:
        """Announce the song of a play if it is time for a sample. An announcement that fails is dropped."""
        if not isinstance(event.data, SongPlayed) or monotonic() - self._published_at < self._pause_s:
            return
        if self._publishing is None or self._publishing.done():
            self._published_at = monotonic()
            started = PlaybackStarted(user_id=event.data.user_id, song_id=event.data.song_id)
            live = LiveEvent(id=f"{event.id}-live", source=event.source, time=event.time, data=started)
            self._publishing = asyncio.create_task(self._publish(live))

    async def _publish(self, live: LiveEvent) -> None:
        with suppress(TransientError, AccessDeniedError):
            await self._announcer.publish(live)


async def perform(settings: EventHubsSettings, plan: LiveRunPlan, part: int, account: Account) -> None:
    """Send the events of one part to their end, or until SIGINT or SIGTERM; counts them in `account`.

    Raises AccessDeniedError. While the hub is away, events wait in the publisher's buffer, without a limit in time.
    An event that is then overdue by more than CATCH_UP is skipped, unless it is an upload or a removal.
    """
    loop = asyncio.get_running_loop()
    stop_requested = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_requested.set)
    playing = asyncio.create_task(_play(settings, plan, part, account))
    stopping = asyncio.create_task(stop_requested.wait())
    await asyncio.wait([playing, stopping], return_when=asyncio.FIRST_COMPLETED)
    # Cancel once only: a second signal must not cut off the closing of the publisher.
    playing.cancel()
    stopping.cancel()
    await asyncio.wait([playing, stopping])
    if not playing.cancelled():
        playing.result()


async def _play(settings: EventHubsSettings, plan: LiveRunPlan, part: int, account: Account) -> None:
    failures: list[BaseException] = []

    def record(done: asyncio.Future[Outcome]) -> None:
        if (failure := done.exception()) is None:
            account[SENT] += 1
        else:
            account[UNSENT] += 1
            failures.append(failure)

    async with (
        Announcer(settings) as announcer,
        EventPublisher(settings, patience_s=inf, linger_ms=LINGER_MS) as publisher,
    ):
        sampler = NowPlayingSampler(announcer)
        try:
            for number, (due, event) in enumerate(plan.events(datetime.now(UTC), part)):
                overdue = datetime.now(UTC) - due
                if overdue.total_seconds() < -_EARLY_S:
                    await asyncio.sleep(-overdue.total_seconds())
                elif number % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
                if failures:
                    break
                if overdue > CATCH_UP and not isinstance(event.data, SongUploaded | SongRemoved):
                    account[PASSED_OVER] += 1
                    continue
                (await publisher.submit(encode(event), event.partition_key)).add_done_callback(record)
                account[HANDED_OVER] += 1
                if part == 0:
                    sampler.sample(event)
        except asyncio.CancelledError:
            # What the hub does not take by then is counted.
            with suppress(TransientError):
                await publisher.close(_CLOSE_S)
            raise
    if failures:
        raise failures[0]
