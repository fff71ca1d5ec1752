"""Whether the positions of a partition of `music-events` are of the hub as it is now, and what is noted of that.

Kafka's committed offsets say nothing of the hub that they are of. So the worker notes in the document `@progress` of
the container `attempts` when that hub was created, as the other workers do beside their projections; there an
operator also sets a position back (`songline checkpoints reset trending`).
"""

from datetime import UTC, datetime

from msgspec import Struct, structs

from songline.processors.runtime.hub_metadata import HubDescription, HubMetadata
from songline.processors.runtime.resume_point import HubMismatch, HubState, resume_point, same_hub
from songline.processors.runtime.watermark_store import PositionResetError, WatermarkStore
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.progress import Watermark
from songline.schemas.progress_report import NotReadyCause


class StartPosition(Struct, frozen=True):
    """What a source goes on from: `next` is the offset that it reads next, `reached` what is noted of it."""

    reached: Watermark
    next: int

    @property
    def level(self) -> int:
        """What positions of this generation are counted in: every one is beyond all of lower levels."""
        return 2 * self.reached.generation


class StartPositions:
    """Asks the hub by `questions`, and notes in `positions`. Methods raise AzureError and EventHubError."""

    def __init__(self, positions: WatermarkStore, questions: HubMetadata) -> None:
        self._positions = positions
        self._questions = questions

    async def find(self, partition: int, committed: int | None) -> StartPosition | tuple[HubMismatch, int]:
        """From where to read on, where the group has committed the offset `committed`; or why that can't be, and the
        level at which nothing of the partition is applied. Raises PositionResetError where an operator came between."""
        name = str(partition)
        noted = await self._positions.reached(name)
        state = await self._questions.state(name)
        own = last_reached(noted, committed)
        found = resume_point(own, state, f"{MUSIC_EVENTS}/{partition}")
        if isinstance(found, HubMismatch):
            assert own is not None, "nothing matches every hub"
            # What is noted may be behind, and a position that is noted is what the operator is shown and resets.
            if noted is None:
                await self._positions.begin([name])
            await self._positions.reach(name, structs.replace(own, through=own.through or datetime.now(UTC)))
            generation = 0 if noted is None else noted.generation
            # What was applied of the same hub still is, though events behind it are gone.
            void = found.cause is not NotReadyCause.RETENTION_PASSED
            return found, 2 * generation + void
        reached = structs.replace(found.reached, through=found.reached.through or datetime.now(UTC))
        if noted is None:
            await self._positions.begin([name], state.created_at)
        elif noted.created_at is not None and not same_hub(noted.created_at, state.created_at):
            # Nothing of the hub before was noted; shards may have heard of some of it.
            resets = noted.resets + 1
            reached = structs.replace(reached, resets=resets, generation=resets)
            if not await self._positions.reset(name, noted, reached):
                raise PositionResetError(f"partition {name} was set by hand")
        return StartPosition(reached, found.next)

    async def describe(self) -> HubDescription:
        """When the hub was created, and its partitions."""
        return await self._questions.describe()

    async def note(self, partition: int, reached: Watermark) -> None:
        """Say how far the partition is. Raises PositionResetError where it was set back by hand meanwhile."""
        await self._positions.reach(str(partition), reached)


def mismatch(partition: int, reached: Watermark, state: HubState) -> HubMismatch | None:
    """Why a partition that is read is another one by now."""
    found = resume_point(reached, state, f"{MUSIC_EVENTS}/{partition}")
    return found if isinstance(found, HubMismatch) else None


def last_reached(noted: Watermark | None, committed: int | None) -> Watermark | None:
    """How far the partition is applied, of what is noted and what the group has committed.

    What is noted may be behind, for it is noted now and then; but for a position that was set by hand, which has no
    `through` until a worker has gone on from it.
    """
    if noted is not None and noted.resets and noted.through is None:
        return noted
    position = max(-1 if committed is None else committed - 1, -1 if noted is None else noted.position)
    return structs.replace(noted or Watermark(position=-1, through=None), position=position)
