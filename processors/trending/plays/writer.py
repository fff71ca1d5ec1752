"""Songs' days to Cosmos DB: at most so many a call, of each shard those first that have waited longest."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

import msgspec
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from msgspec import Struct, structs

from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.service_fault import ServiceFault, fault_of
from songline.processors.runtime.service_errors import last_line
from songline.processors.trending.plays.refused_days import RefusedDays
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.watermark import ShardWatermark, level_and_offset
from songline.schemas.moments import moment_at
from songline.schemas.plays import ShardProgressDocument, SongDay
from songline.schemas.progress import Watermark

log = logging.getLogger(__name__)

IN_FLIGHT = 4
WATERMARK_S = 5.0
"""The pause between two writes of how far a shard is."""


class BacklogWatermark(Struct, frozen=True):
    """The watermark of a shard when its backlog ended at `end`: once all before `end` is written, it is reached."""

    shard: Shard
    watermark: ShardWatermark
    end: int


class PlaysWriter:
    """Writes the days that wait in the `shards` of this worker, of so many `in_all`; at most `writes()` a call.

    `noted` reads how far the worker has noted its partitions, and of which hub. `now_ms` is the wall clock's, `steady`
    returns seconds. `last_error` is the error of the last write, None once one is done. `refused` has the days that
    Cosmos DB refuses.
    """

    def __init__(
        self,
        container: ContainerProxy,
        shards: Callable[[], Mapping[int, Shard]],
        in_all: int,
        writes: Callable[[], int],
        noted: Callable[[], Awaitable[Mapping[str, Watermark]]],
        now_ms: Callable[[], int],
        steady: Callable[[], float],
    ) -> None:
        self._container = container
        self._shards = shards
        self._in_all = in_all
        self._writes = writes
        self._noted = noted
        self._now_ms = now_ms
        self._steady = steady
        self.last_error: AzureError | None = None
        self.refused = RefusedDays(steady())
        self._turn = 0
        self._pending: dict[int, BacklogWatermark] = {}
        self._written_s: dict[int, float] = {}

    def backlogs(self) -> Iterator[tuple[int, int, int]]:
        """Of each shard, how many of its songs' days were written since it is held, and how many have waited in all."""
        for number, shard in self._shards().items():
            yield number, shard.days.backlog.begin, shard.days.backlog.end

    async def write(self) -> None:
        """Write what is due. What can't be written goes on waiting, and is written as it is then."""
        shards = dict(self._shards())
        self.refused.try_again(shards, self._steady())
        self._remember_watermarks(shards)
        due = self._due(list(shards.values()))
        for start in range(0, len(due), IN_FLIGHT):
            if not await self._write_some(due[start : start + IN_FLIGHT]):
                return
        await self._write_watermarks(shards)

    def _remember_watermarks(self, shards: Mapping[int, Shard]) -> None:
        now = self._steady()
        self._pending = {number: seen for number, seen in self._pending.items() if shards.get(number) is seen.shard}
        for number, shard in shards.items():
            if number not in self._pending and now >= self._written_s.get(number, now - WATERMARK_S) + WATERMARK_S:
                self._pending[number] = BacklogWatermark(shard, shard.watermark(self._now_ms()), shard.days.backlog.end)

    def _due(self, shards: list[Shard]) -> list[tuple[Shard, SongDay]]:
        """The days to write: a fair share of each shard, and for the next one what it leaves.

        Another shard begins each time.
        """
        self._turn += 1
        turn = self._turn % max(1, len(shards))
        shards = shards[turn:] + shards[:turn]
        writes = self._writes()
        due: list[tuple[Shard, SongDay]] = []
        for place, shard in enumerate(shards):
            share = -(-(writes - len(due)) // (len(shards) - place))
            due += [(shard, document) for document in shard.days.due(share)]
        return due

    async def _write_some(self, due: list[tuple[Shard, SongDay]]) -> bool:
        """Write a few days at once; return whether the service took them."""
        results = await gather_or_cancel(
            self._put(document, is_new=not shard.days.may_be_stored(document)) for shard, document in due
        )
        failures = []
        for (shard, document), error in zip(due, results, strict=True):
            if error is None:
                shard.days.written(document)
                self.refused.remove(document)
            elif fault_of(error) is ServiceFault.ITEM_REFUSED:
                # The others are written.
                self.refused.add(shard, document, error)
            else:
                failures.append(error)
        if failures:
            self._record(failures[0], f"{len(failures)} of {len(due)} days of songs not written")
        elif due:
            self.last_error = None
        return not failures

    def _record(self, error: AzureError, what: str) -> None:
        if self.last_error is None:
            log.warning("%s, trying again: %s", what, last_line(error))
        self.last_error = error

    async def _put(self, document: SongDay, *, is_new: bool) -> AzureError | None:
        """Write the day unless the stored one counts as much or more; return the error that the service answered. One
        that `is_new` is not stored, but by an owner that has lost the shard and does not know it."""
        try:
            # With a single action in it a day is new, but for a worker that has just started.
            there = not is_new and document.total > 1 and await self._raise(document)
            if not there and not await self._create(document):
                await self._raise(document)
        except AzureError as error:
            return error
        return None

    async def _create(self, document: SongDay) -> bool:
        """Create the document; return whether it was not there."""
        try:
            await self._container.create_item(msgspec.to_builtins(document), no_response=True)
        except CosmosResourceExistsError:
            return False
        return True

    async def _raise(self, document: SongDay) -> bool:
        """Raise the stored document where it counts less; return whether it is there."""
        fields = msgspec.to_builtins(document)
        changed = [
            {"op": "set", "path": f"/{field}", "value": fields[field]}
            for field in ("total", "listens", "likes", "unlikes")
        ]
        try:
            await self._container.patch_item(
                document.id,
                document.song_id,
                changed,
                filter_predicate=f"FROM c WHERE c.total < {document.total}",
                no_response=True,
            )
        except CosmosResourceNotFoundError:
            return False
        except CosmosAccessConditionFailedError:
            pass
        return True

    async def _write_watermarks(self, shards: Mapping[int, Shard]) -> None:
        noted: Mapping[str, Watermark] | None = None
        for number, shard in shards.items():
            seen = self._pending.get(number)
            if seen is None or shard.days.backlog.begin < seen.end:
                continue
            try:
                noted = await self._noted() if noted is None else noted
                refused = self.refused.songs_of(shard)
                reached = shard_reached(number, self._in_all, seen.watermark, noted, refused)
                await self._container.upsert_item(msgspec.to_builtins(reached), no_response=True)
            except AzureError as error:
                self._record(error, f"how far shard {number} is was not written")
                return
            self.last_error = None
            del self._pending[number]
            self._written_s[number] = self._steady()


def shard_reached(
    number: int,
    shards: int,
    watermark: ShardWatermark,
    noted: Mapping[str, Watermark],
    refused: Collection[str] = (),
) -> ShardProgressDocument:
    """The document that says how far a shard is, but for the songs in `refused`. `noted`: of which hub the positions
    of a partition are."""
    return ShardProgressDocument(
        id=str(number),
        shards=shards,
        partitions={
            str(partition): _reached(position, watermark.watermarks_ms.get(partition), noted.get(str(partition)))
            for partition, position in watermark.positions.items()
        },
        refused=tuple(sorted(refused)),
    )


def _reached(position: int, watermark_ms: int | None, noted: Watermark | None) -> Watermark:
    level, offset = level_and_offset(position)
    found = Watermark(position=offset, through=None if watermark_ms is None else moment_at(watermark_ms))
    if noted is None or level != 2 * noted.generation:
        # It is of another hub than the one that is noted.
        return found
    return structs.replace(found, created_at=noted.created_at, generation=noted.generation)
