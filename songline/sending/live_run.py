"""Playing a simulation live: events happen now, and are sent now."""

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
_EARLY_S = 0.005
_LAST_WORDS_S = 5.0
_YIELD_EVERY = 500

SENT, PASSED_OVER = 0, 1
"""Places in an account: events that the hub has, and events that were too long overdue to be sent."""

Account: TypeAlias = MutableSequence[int]


class LiveRunPlan(Struct, frozen=True, kw_only=True):
    """What to play: `count` events or `duration` seconds of them, or without end; in `parts` processes."""

    seed: int
    dials: SimulationConfig
    count: int | None = None
    duration: float | None = None
    parts: int = 1

    def events(self, start: datetime, part: int) -> Iterator[Due]:
        """What part `part` plays from `start` on; raises ValueError for a start before 2001."""
        events = iter(Simulation(self.seed, start, self.dials, part=part, parts=self.parts))
        if self.duration is not None:
            end = start + timedelta(seconds=self.duration)
            events = takewhile(lambda due: due[0] < end, events)
        if self.count is not None:
            events = islice(events, len(range(part, self.count, self.parts)))
        return events


class NowPlayingSampler:
    """Tells of one listener in many what is playing, at most `per_s` a second: enough to look at."""

    def __init__(self, announcer: Announcer, per_s: float = SAMPLES_PER_S) -> None:
        self._announcer, self._pause_s = announcer, 1 / per_s
        self._published_at = -inf
        self._publishing: asyncio.Task[None] | None = None

    def sample(self, event: Event) -> None:
        """Perhaps tell that its listener begins to play its song; what can't be told is nobody's loss."""
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
    """Play one part to its end, or until SIGINT or SIGTERM; waits for the hub as long as it takes.

    Raises AccessDeniedError. While the hub is away events wait in the publisher's buffer. What is overdue by more than
    CATCH_UP then is passed over, as if nobody had listened; uploads and removals never are.
    """
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop.set)
    playing = asyncio.create_task(_play(settings, plan, part, account))
    stopping = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait([playing, stopping], return_when=asyncio.FIRST_COMPLETED)
    # Once only: a second signal must not cut off what is being sent to the end.
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
            failures.append(failure)

    async with Announcer(settings) as announcer, EventPublisher(settings, patience_s=inf) as publisher:
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
                if part == 0:
                    sampler.sample(event)
        except asyncio.CancelledError:
            await publisher.close(_LAST_WORDS_S)
            raise
    if failures:
        raise failures[0]
