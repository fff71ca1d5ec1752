"""The history of a hub: all events of a partition in order, from the archive and then from the hub's tail."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime

from msgspec import Struct

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.history.archive.blob_files import ArchiveFile, ArchiveFiles
from songline.processors.history.archive.capture_records import Records
from songline.processors.history.archive.errors import ArchiveHoleError, Damage, DamagedFileError, Hole
from songline.processors.history.archive.extent import PartitionExtent, extent_of, only_in_hub
from songline.processors.history.archive.file_facts import FileFacts, read_facts
from songline.processors.history.archive.generations import PlacedFile, hub_generation, placed_files
from songline.processors.history.archive.hub_tail import HubTail
from songline.processors.history.archive.merge import FileMerge
from songline.processors.history.erasure.names_to_come import NOBODY_LEAVES, NamesToCome
from songline.processors.runtime.resume_point import HubState
from songline.schemas.name_matches import NO_MATCHES, NameMatches
from songline.schemas.progress import lasting_position, split_position

_AT_ONCE = 8
"""Files of which the ends are read at the same time."""


class ArchivedBatch(Struct, frozen=True, gc=False):
    """Events of one partition in order, without gaps.

    `positions` are lasting ones (see `songline.schemas.progress`): sequence numbers, which stay as they are until a hub
    is made anew. `enqueued_s` are the whole Unix seconds at which the hub took the events. `bodies` are their bytes.
    """

    partition: str
    positions: list[int]
    enqueued_s: list[int]
    bodies: list[bytes]

    def cut(self, start: int, stop: int | None = None) -> "ArchivedBatch":
        """The events from index `start` to before `stop`."""
        part = slice(start, stop)
        return ArchivedBatch(self.partition, self.positions[part], self.enqueued_s[part], self.bodies[part])


class SkippedReport(Struct):
    """What was passed over: positions that are missing, and files that are damaged, each once."""

    holes: list[Hole] = []
    damages: list[Damage] = []

    @property
    def missing(self) -> int:
        """How many events are missing."""
        return sum(hole.count for hole in self.holes)


class HubHistory:
    """The events of a hub, read from the files of its archive and then, where `tail` is given, from the hub itself.

    With `skip`, what is missing or damaged is passed over and stands in `skipped`; without, it raises ArchiveHoleError
    and DamagedFileError. All methods raise AzureError and, with a tail, EventHubError.
    """

    def __init__(self, files: ArchiveFiles, tail: HubTail | None = None, *, skip: bool = False) -> None:
        self.skipped = SkippedReport()
        self.files = files
        self.tail = tail
        self._skip = skip
        self._facts: dict[tuple[str, str], FileFacts] = {}
        self._has_container = True
        self._matches = NO_MATCHES
        self._names_to_come = NOBODY_LEAVES

    async def partitions(self) -> list[str]:
        """The partitions of which there are events, or may be."""
        found = {file.name.partition for file in await self.files.list() or ()}
        if self.tail is not None:
            found |= (await self.tail.describe()).partitions
        return sorted(found, key=lambda partition: (len(partition), partition))

    async def extent(self, partition: str) -> PartitionExtent:
        """What the archive holds of a partition, what the hub holds, and how far the archive is behind."""
        placed = await self.placed(partition)
        return extent_of(partition, placed, await self.hub_state(partition), is_there=self._has_container)

    async def read_only_in_hub(self, partition: str) -> AsyncGenerator[Records]:
        """The events of a partition that the hub has and no whole file, up to the hub's end as it is now: before the
        first file, between files, and behind the last one. Positions are the hub's own. Raises HubUnreadableError too.
        """
        placed = await self.placed(partition)
        state = await self.hub_state(partition)
        if self.tail is None or state is None:
            return
        for first, last in only_in_hub(placed, state):
            async with aclosing(self.tail.read_on(partition, first, last)) as found:
                async for records in found:
                    yield records

    def passing_over(self) -> "HubHistory":
        """The same history, which passes over what is missing or damaged, with a report of its own."""
        other = HubHistory(self.files, self.tail, skip=True)
        other._facts = self._facts
        return other

    def with_names(self, matches: NameMatches, names_to_come: NamesToCome) -> "HubHistory":
        """The same history, in which events of names have the songs that these are, and listeners who are being
        forgotten their names; it has the same report."""
        other = HubHistory(self.files, self.tail, skip=self._skip)
        other.skipped, other._facts = self.skipped, self._facts
        other._matches, other._names_to_come = matches, names_to_come
        return other

    def know(self, facts: Iterable[FileFacts]) -> None:
        """Take what is known of files, instead of reading their ends."""
        self._facts.update(((one.file.path, one.file.etag), one) for one in facts)

    async def placed(self, partition: str) -> list[PlacedFile]:
        """The files of a partition as they are now, by their first position."""
        listed = await self.files.list()
        self._has_container = listed is not None
        mine = [file for file in listed or () if file.name.partition == partition]
        limit = asyncio.Semaphore(_AT_ONCE)

        async def read(file: ArchiveFile) -> None:
            async with limit:
                self._facts[file.path, file.etag] = await read_facts(self.files, file)

        await gather_or_cancel(read(file) for file in mine if (file.path, file.etag) not in self._facts)
        known = [self._facts[file.path, file.etag] for file in mine]
        placed = placed_files(known)
        if self.tail is None or not any(one.generation for one in placed):
            return placed
        # The hub itself knows whether it was made anew.
        return placed_files(known, (await self.tail.describe()).created_at)

    async def is_at(self, partition: str, position: int, second: int | None) -> bool:
        """Whether the archive may have the event at a lasting position as one that the hub took at a Unix second, or
        within one of it; None for any. Also where it has no event there."""
        if second is None:
            return True
        placed = await self.placed(partition)
        ranges = [one.range for one in placed if one.range is not None and one.first <= position <= one.last]
        return not ranges or any(one.first_s - 1 <= second <= one.last_s + 1 for one in ranges)

    async def hub_generation(self, partition: str, created_at: datetime, after: int) -> int:
        """The generation of a partition's events in the hub that was created at `created_at`, for a reader that has all
        up to the lasting position `after`."""
        return hub_generation(await self.placed(partition), created_at, after + 1)

    async def position_before(self, partition: str, since_s: int) -> int:
        """A lasting position up to which all events that the archive has are of seconds before `since_s`; -1 for none.
        By the files' times: what follows may be older too."""
        last = -1
        for one in await self.placed(partition):
            if one.range is None or one.range.last_s >= since_s:
                break
            last = max(last, one.last)
        return last

    async def read(self, partition: str, after: int = -1, until_s: int | None = None) -> AsyncGenerator[ArchivedBatch]:
        """The events after the lasting position `after`, up to the hub's end as it is when it is asked for, or to the
        first one that the hub took at the Unix second `until_s` or later.

        The hub's end is asked for once, when all files are read: what comes in later is not read. Raises
        HubUnreadableError too.
        """
        reading = _Reading(self, partition, after + 1, until_s)
        async with aclosing(reading.run()) as found:
            async for records in found:
                stop = count_before(records.enqueued_s, until_s)
                if stop:
                    kept = records if stop == len(records) else records.cut(0, stop)
                    bodies = self._names_to_come.renamed(partition, kept.positions, kept.enqueued_s, kept.bodies)
                    bodies = self._matches.matched(bodies, kept.enqueued_s)
                    yield ArchivedBatch(partition, kept.positions, kept.enqueued_s, bodies)
                if stop < len(records):
                    return

    async def hub_state(self, partition: str) -> HubState | None:
        """The partition as its hub has it now, None without a hub or where the hub lacks it."""
        return None if self.tail is None else await self.tail.read_state(partition)

    def note_damage(self, damage: Damage) -> None:
        """Report a damage, or raise it."""
        if not self._skip:
            raise DamagedFileError(damage)
        if damage not in self.skipped.damages:
            self.skipped.damages.append(damage)

    def note_hole(self, hole: Hole) -> None:
        """Report a hole, or raise it."""
        if not self._skip:
            raise ArchiveHoleError(hole)
        if hole not in self.skipped.holes:
            self.skipped.holes.append(hole)


class _Reading:
    """One reading of a partition. `_expected` is the lasting position of the event that comes next."""

    def __init__(self, history: HubHistory, partition: str, expected: int, until_s: int | None) -> None:
        self._history = history
        self._partition = partition
        self._expected = expected
        self._until_s = until_s
        self._placed: list[PlacedFile] = []
        self._is_read = False
        """Whether all files are read."""
        self._end: int | None = None
        """The lasting position of the hub's last event, as it was when all files were read."""
        self._hub_next = 0

    async def run(self) -> AsyncGenerator[Records]:
        stuck_at: int | None = None
        while True:
            if stuck_at is not None:
                self._history.files.forget_listing()
            self._placed = await self._history.placed(self._partition)
            # Capture may have written meanwhile what the hub does not hold any more: only what is missing when both
            # are asked again is missing.
            is_stuck, stuck_at = stuck_at == self._expected, self._expected
            # Closed at once where a reading ends early: who closes the hub's connection later may wait without end.
            async with aclosing(self._read_files(is_stuck=is_stuck)) as found:
                async for records in found:
                    yield records
            if self._is_read:
                async with aclosing(self._read_tail(is_stuck=is_stuck)) as found:
                    async for records in found:
                        yield records
                if self._end is None or self._expected > self._end:
                    return

    async def _read_files(self, *, is_stuck: bool) -> AsyncGenerator[Records]:
        wanted = self._wanted()
        merge = FileMerge(wanted, self._history.files.download, self._history.note_damage)
        self._is_read = False
        try:
            while (found := await merge.read(self._expected)) is not None:
                if isinstance(found, Records):
                    yield found
                    self._expected = found.positions[-1] + 1
                    continue
                generation, _ = split_position(found)
                if generation != split_position(self._expected)[0]:
                    self._expected = lasting_position(generation, 0)
                    continue
                # The hub may hold what the archive lacks.
                state = await self._history.hub_state(self._partition)
                async with aclosing(self._read_hub(state, found - 1)) as before:
                    async for records in before:
                        yield records
                if self._expected < found:
                    if not is_stuck:
                        return
                    # Retention may have left the hub a part of what is before the file.
                    in_hub = self._expected < self._hub_next < found
                    self._pass_over(self._hub_next if in_hub else found)
            self._is_read = True
        finally:
            await merge.close()

    def _wanted(self) -> list[PlacedFile]:
        """The files that may have what is expected, up to the first one that begins at `until_s` or later."""
        wanted = []
        for one in self._placed:
            if one.last + (one.damage is not None) >= self._expected:
                wanted.append(one)
                if self._until_s is not None and one.range is not None and one.range.first_s >= self._until_s:
                    break
        return wanted

    async def _read_tail(self, *, is_stuck: bool) -> AsyncGenerator[Records]:
        state = await self._history.hub_state(self._partition)
        if state is None:
            return
        base = self._base(state)
        if self._end is None:
            self._end = base + state.last
        self._expected = max(self._expected, base)
        if self._expected > self._end:
            return
        async with aclosing(self._read_hub(state, self._end)) as found:
            async for records in found:
                yield records
        if self._expected <= self._end and is_stuck:
            self._pass_over(min(self._end + 1, max(self._hub_next, self._expected + 1)))

    async def _read_hub(self, state: HubState | None, last: int) -> AsyncGenerator[Records]:
        """What the hub holds from the expected event on without a gap, up to the lasting position `last`. Sets
        `_hub_next`: the lasting position of what it has instead of the event that is expected then."""
        tail = self._history.tail
        self._hub_next = 0
        if tail is None or state is None:
            return
        base = self._base(state)
        first, self._hub_next = self._expected - base, base + state.first
        if not state.first <= first <= min(last - base, state.last):
            return
        async with aclosing(tail.read(self._partition, first, min(last - base, state.last))) as found:
            async for records in found:
                if isinstance(records, int):
                    self._hub_next = base + records
                    return
                positions = [base + at for at in records.positions] if base else records.positions
                yield Records(positions, records.enqueued_s, records.bodies)
                self._expected = positions[-1] + 1

    def _base(self, state: HubState) -> int:
        """What is added to the hub's positions: it may have been made anew after the last event of the archive."""
        return lasting_position(hub_generation(self._placed, state.created_at, self._expected), 0)

    def _pass_over(self, found: int) -> None:
        """Go on at the lasting position `found`: nobody has what is before. Raises ArchiveHoleError."""
        generation, first = split_position(self._expected)
        before = max((one for one in self._placed if one.first < self._expected), key=_last, default=None)
        after = next((one for one in self._placed if one.first >= found), None)
        hole = Hole(
            self._partition,
            generation,
            first,
            split_position(found)[1] - 1,
            None if before is None else before.file.path,
            None if after is None else after.file.path,
        )
        self._history.note_hole(hole)
        self._expected = found


def _last(placed: PlacedFile) -> int:
    return placed.last


def count_before(enqueued_s: Sequence[int], until_s: int | None) -> int:
    """How many events of these seconds, of which there are some, come before the first of `until_s` or later."""
    if until_s is None or max(enqueued_s) < until_s:
        return len(enqueued_s)
    return next(place for place, second in enumerate(enqueued_s) if second >= until_s)
