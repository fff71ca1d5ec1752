"""From where a partition of `music-events` is read: whether its position is one of the hub as it is now.

Kafka's committed offsets do not say which hub they are of. So the worker notes when that hub was created in the
document `@progress` of the container `attempts`, as the other workers do beside their projections. An operator sets a
position back there too (`songline checkpoints reset trending`).
"""

from datetime import UTC, datetime

from msgspec import Struct, structs

from songline.processors.runtime.hub_metadata import HubDescription, HubMetadata
from songline.processors.runtime.resume_point import HubMismatch, HubState, next_generation, resume_point, same_hub
from songline.processors.runtime.watermark_store import PositionResetError, WatermarkStore
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.progress import Watermark
from songline.schemas.progress_report import NotReadyCause


class StartPosition(Struct, frozen=True):
    """Where a source partition goes on: `next` is the offset that is read next, `reached` is noted of the partition.
    `is_noted`: what is noted says all of that but for the position, which is noted now and then."""

    reached: Watermark
    next: int
    is_noted: bool = False

    @property
    def level(self) -> int:
        """The level of this generation's positions: every one is beyond all positions of lower levels."""
        return 2 * self.reached.generation


class PositionMismatch(Struct, frozen=True):
    """Why a partition can't be read on. `level`: the one at which nothing of it is applied, None where what was applied
    of it still is."""

    mismatch: HubMismatch
    level: int | None


class StartPositions:
    """Finds start positions by asking the hub, and saves them. Methods raise AzureError and EventHubError."""

    def __init__(self, positions: WatermarkStore, questions: HubMetadata) -> None:
        self._positions = positions
        self._questions = questions

    async def find(self, partition: int, committed: int | None) -> StartPosition | PositionMismatch:
        """Where to read on, or why that can't be; `committed` is the offset that the group has committed.

        Raises PositionResetError where an operator set the position meanwhile.
        """
        name = str(partition)
        noted = await self._positions.read(name)
        state = await self._questions.read_state(name)
        own = last_reached(noted, committed)
        found = resume_point(own, state, f"{MUSIC_EVENTS}/{partition}")
        if isinstance(found, HubMismatch):
            assert own is not None, "nothing matches every hub"
            # The noted position may be behind; it is the one that an operator is shown and resets.
            if noted is None:
                await self._positions.add([name])
            await self._positions.advance(name, structs.replace(own, through=own.through or datetime.now(UTC)))
            if found.cause is NotReadyCause.RETENTION_PASSED:
                # What was applied of the same hub still is, though events after it are gone.
                return PositionMismatch(found, None)
            return PositionMismatch(found, 2 * (0 if noted is None else noted.generation) + 1)
        reached = structs.replace(found.watermark, through=found.watermark.through or datetime.now(UTC))
        if noted is None:
            await self._positions.add([name], state.created_at)
        elif noted.created_at is not None and not same_hub(noted.created_at, state.created_at):
            # Nothing of the hub before was noted; shards may have applied some of it.
            reached = structs.replace(reached, resets=noted.resets + 1, generation=next_generation(noted))
            if not await self._positions.reset(name, noted, reached):
                raise PositionResetError(f"partition {name} was set by hand")
        return StartPosition(reached, found.next_position, is_noted(noted, reached))

    async def describe(self) -> HubDescription:
        """When the hub was created, and its partitions."""
        return await self._questions.describe()

    async def save(self, partition: int, reached: Watermark) -> None:
        """Save how far the partition is. Raises PositionResetError where an operator set it back meanwhile."""
        await self._positions.advance(str(partition), reached)


def mismatch(partition: int, reached: Watermark, state: HubState) -> HubMismatch | None:
    """Why a partition that is being read is one of another hub by now; None where it is not."""
    found = resume_point(reached, state, f"{MUSIC_EVENTS}/{partition}")
    return found if isinstance(found, HubMismatch) else None


def is_noted(noted: Watermark | None, reached: Watermark) -> bool:
    """Whether what is noted says of which hub the partition is and how often it was set, as `reached` does."""
    if noted is None or noted.created_at is None:
        return False
    # The hub tells its moment a little differently each time.
    return structs.replace(reached, position=noted.position, created_at=noted.created_at) == noted


def last_reached(noted: Watermark | None, committed: int | None) -> Watermark | None:
    """How far the partition is applied, of what is noted and what the group has committed.

    The noted position may be behind, since it is noted now and then. But one that an operator set holds: it has no
    `through` until a worker has gone on from it.
    """
    if noted is not None and noted.resets and noted.through is None:
        return noted
    position = max(-1 if committed is None else committed - 1, -1 if noted is None else noted.position)
    return structs.replace(noted or Watermark(position=-1, through=None), position=position)
