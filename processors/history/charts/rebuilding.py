"""The rebuild of a version by a replay: where it begins, its passes, and how far it is.

What was folded is in memory, and is saved in checkpoints, each of which fits what was written before. A rebuild that
was killed goes on from the last one.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from songline.processors.history.archive.spans import SpannedHistory
from songline.processors.history.charts.beginning import begin_replay, events_after, resume_replay
from songline.processors.history.charts.checkpoints import ReplayCheckpoints
from songline.processors.history.charts.hub_hours import HOUR_S, HubHours
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.charts.replay_writer import OpenWriter, ReplayWriter
from songline.processors.history.charts.saved_replay import ReplayPlace, SavedReplay
from songline.processors.history.charts.song_events import SongEventStore
from songline.processors.history.erasure.names_to_come import ForgottenMeanwhileError
from songline.processors.history.rebuild.hub_life import AppliedPlace, HubLife
from songline.processors.history.rebuild.passes import ask_ends, repeat_passes
from songline.processors.history.rebuild.progress import PartitionFoldCount
from songline.processors.history.rebuild.projection import RebuildParts
from songline.schemas.moments import moment_at
from songline.schemas.policy import ChartPolicy

log = logging.getLogger(__name__)

SETTLED_S = 2
"""What the hub takes in a second may be read so long after it."""
SAVE_S = 10.0
COUNT_S = 0.5


class ReplayRebuild:
    """The rebuild of a version by a replay under `policy`, written by what `open_writer` opens. `now_s` is the time of
    day in Unix seconds. What was folded is saved every SAVE_S seconds of the clock `steady`.

    `rebuild` may be called again: what was folded before is still there, unless somebody was forgotten since.
    """

    def __init__(
        self,
        policy: ChartPolicy,
        open_writer: OpenWriter,
        now_s: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._open_writer = open_writer
        self._now_s = now_s
        self._steady = steady
        self._replay: SavedRebuild | None = None

    async def rebuild(self, parts: RebuildParts) -> None:
        """Fold the history behind what the version has, to the hub's end or to `until_s`, and write what comes of it.

        Raises NoHistoryError, HubMadeAnewError, ForgottenMeanwhileError, ItemRefusedError, what opening the writer
        raises, and what reading the history raises.
        """
        async with self._open_writer(parts) as writer:
            if self._replay is None or not self._replay.place.fits(parts.names):
                self._replay = await self._begin(parts, writer)
            found = self._replay
            found.use(writer)
            # What was folded behind the last checkpoint is folded again.
            parts.count.before = (found.replay.events, found.replay.unapplied)
            life = HubLife(parts.hub, parts.version)
            until_s = 0

            async def fold() -> None:
                nonlocal until_s
                until_s = int(self._now_s()) - SETTLED_S if parts.until_s is None else parts.until_s - 1
                await found.enter(life, parts)
                await found.fold(parts, until_s)

            async with _counting(parts, found):
                await repeat_passes(partial(ask_ends, parts), fold, once=parts.until_s is not None)
            through, positions = moment_at(until_s * 1_000), found.replay.positions
            sources = {number: life.watermark(str(number), one, through) for number, one in positions.items()}
            await writer.hand_over(found.replay, sources)

    async def _begin(self, parts: RebuildParts, writer: ReplayWriter) -> "SavedRebuild":
        history = SpannedHistory(parts.history)
        checkpoints = ReplayCheckpoints(writer.checkpoints)
        # A name that no replay had before: what this one takes over is saved under that of the one before.
        owner = f"rebuild-{uuid.uuid4().hex}"
        saved = await checkpoints.read()
        if saved is not None:
            why_not = _why_not(saved, parts, writer)
            if not why_not:
                replay = await resume_replay(history, saved, self._policy, writer.key, owner)
                return SavedRebuild(replay, checkpoints, saved.state.place, writer, self._steady)
            log.warning("version %d begins anew with the first event: %s", parts.version.version, why_not)
        if parts.version.positions:
            # It may have reached its end before. What was handed over then is of the same events, perhaps under names
            # that they had before.
            await writer.remove_handed_over()
        await checkpoints.remove()
        begun = await begin_replay(history, SongEventStore(None), 0, self._policy, writer.key, owner)
        place = ReplayPlace(0, False, None, {}, parts.names.erasures)
        return SavedRebuild(begun.replay, checkpoints, place, writer, self._steady)


class SavedRebuild:
    """A replay that is at a `place` of its history, and is saved by `checkpoints` as it goes."""

    def __init__(
        self,
        replay: ChartReplay,
        checkpoints: ReplayCheckpoints,
        place: ReplayPlace,
        writer: ReplayWriter,
        steady: Callable[[], float],
    ) -> None:
        self.replay = replay
        self.writer = writer
        self.place = place
        self._checkpoints = checkpoints
        self._steady = steady
        self._saved_s = steady()
        self._life: HubLife
        self._parts: RebuildParts

    def use(self, writer: ReplayWriter) -> None:
        """Write by this writer from now on: that of the call before is closed."""
        self.writer = writer
        self._checkpoints.stored = writer.checkpoints

    async def enter(self, life: HubLife, parts: RebuildParts) -> None:
        """Begin a pass over the hub as it is now. Raises HubMadeAnewError."""
        self._life, self._parts = life, parts
        await life.begin()
        for number, position in self.replay.positions.items():
            place = AppliedPlace(position, self.place.created_at, self.place.generations.get(number))
            await life.enter(parts.history, str(number), place)

    async def fold(self, parts: RebuildParts, until_s: int) -> None:
        """Fold what is behind the place, up to a second, and write what comes of it. Raises HubMadeAnewError and
        ForgottenMeanwhileError."""
        replay, writer, place = self.replay, self.writer, self.place
        async with events_after(SpannedHistory(parts.history), replay.positions, until_s) as events:
            hours = HubHours(replay, events, until_s, place.hour, self._save_if_due)
            goes_on = place.goes_on
            while (hour := await hours.next_hour(pass_over_quiet=not goes_on)) is not None:
                goes_on = await writer.write_hour(replay, hour)
                if writer.documents.is_full:
                    await self._flush()
                await self._save_if_due(hour + 1, goes_on=goes_on)
            await hours.apply_rest()
        await self._check()
        await writer.write_end(replay, until_s)
        if parts.until_s is None:
            for number, position in replay.positions.items():
                if (end := self._life.at_end(str(number), position)) > position:
                    replay.pass_over(number, end)
        # Also if nothing more comes in before the next hour: what was folded makes its snapshot.
        await self._save(until_s // HOUR_S + 1, goes_on=True)

    async def _save_if_due(self, hour: int, *, goes_on: bool = True) -> None:
        """Save that an hour is made next; without `goes_on`, only where something comes in before it."""
        if self._steady() - self._saved_s >= SAVE_S:
            await self._save(hour, goes_on=goes_on)

    async def _save(self, hour: int, *, goes_on: bool) -> None:
        await self._flush()
        generations = {int(partition): number for partition, number in self._life.generations.items()}
        self.place = ReplayPlace(hour, goes_on, self._life.created_at, generations, self.place.erasures)
        changes = self.replay.take_changes(self.place)
        save = partial(self._checkpoints.save, changes, partial(self.replay.whole, self.place), self.replay.saved_bytes)
        await self.writer.documents.retries.run(save)
        self._saved_s = self._steady()

    async def _flush(self) -> None:
        await self._check()
        await self.writer.documents.flush()

    async def _check(self) -> None:
        """Return where all that was read is of one hub, and has one name for each listener. Else nothing of it may be
        written: raises HubMadeAnewError and ForgottenMeanwhileError."""
        await self._life.check()

        async def check_names() -> None:
            if not self.place.fits(await self._parts.read_names()):
                raise ForgottenMeanwhileError

        await self.writer.documents.retries.run(check_names)


def _why_not(saved: SavedReplay, parts: RebuildParts, writer: ReplayWriter) -> str:
    """Why a rebuild does not go on with what was saved, as a sentence; empty where it does."""
    if saved.state.key != writer.key.id:
        return "the key of its sets was made anew"
    if not saved.state.place.fits(parts.names):
        return "a listener was forgotten since it was begun, whose events have other names now"
    return ""


@asynccontextmanager
async def _counting(parts: RebuildParts, found: SavedRebuild) -> AsyncIterator[None]:
    """Say how far the replay is, while it goes on and at its end."""
    replay, retries = found.replay, found.writer.documents.retries
    assert parts.count.before is not None
    events, unapplied = parts.count.before

    def count() -> None:
        parts.count.events, parts.count.unreadable = replay.events - events, replay.unapplied - unapplied
        parts.count.trouble = retries.trouble if retries.failing_for_s() else ""
        for number, position in replay.positions.items():
            parts.count.partitions.setdefault(str(number), PartitionFoldCount(position)).position = position

    async def keep_counting() -> None:
        while True:
            count()
            await asyncio.sleep(COUNT_S)

    task = asyncio.create_task(keep_counting())
    try:
        yield
    finally:
        task.cancel()
        count()
