"""The life of the hub that a pass of a rebuild reads: a hub that is made anew counts its events from 0 again."""

from datetime import UTC, datetime

from msgspec import Struct

from songline.processors.history.archive.history import HubHistory
from songline.processors.history.rebuild.lease import RebuildRefusedError
from songline.processors.runtime.hub_metadata import HubDescription, HubMetadata
from songline.processors.runtime.resume_point import same_hub
from songline.schemas.progress import Watermark, lasting_position, split_position
from songline.schemas.projections import VersionDocument

ANOTHER_HUB = datetime.fromtimestamp(0, UTC)
"""When a hub was created that was there before the one of today: earlier is all that is known."""


class HubMadeAnewError(RebuildRefusedError):
    """The hub was made anew, and the rebuild can't go on; the message says why, and what to do."""


class LivesChangedError(RebuildRefusedError):
    """The archive counts the hub's lives otherwise than when the version was begun; the message says what to do."""


class AppliedPlace(Struct, frozen=True):
    """Up to where a partition is applied: the lasting `position`, in the hub that was created at `created_at`.
    `generation` is that of this hub's positions then, None where it is not known; `second`, the Unix second at which
    the hub took the last event, likewise."""

    position: int
    created_at: datetime | None
    generation: int | None = None
    second: int | None = None


class HubLife:
    """The life in which a pass has found `hub`. Methods raise EventHubError."""

    def __init__(self, hub: HubMetadata, version: VersionDocument) -> None:
        self._hub = hub
        self._version = version
        self.created_at = ANOTHER_HUB
        """When the hub was created that the pass reads."""
        self.generations: dict[str, int] = {}
        """Of the positions of this life, by partition."""

    async def begin(self) -> HubDescription:
        """Begin a pass over the hub as it is now."""
        described = await self._hub.describe()
        self.created_at, self.generations = described.created_at, {}
        return described

    async def enter(self, history: HubHistory, partition: str, applied: AppliedPlace) -> None:
        """Begin with a partition of which all is applied up to a place.

        Raises HubMadeAnewError where nothing tells positions of that hub from those of the hub as it is now, and
        LivesChangedError where the archive counts lives otherwise than when they were applied: it would give events
        again."""
        generation, position = split_position(applied.position)
        found = await history.hub_generation(partition, self.created_at, applied.position)
        self.generations[partition] = found
        is_same = applied.created_at is not None and same_hub(applied.created_at, self.created_at)
        is_counted_alike = not is_same or applied.generation in (None, found)
        if not is_counted_alike or not await history.is_at(partition, applied.position, applied.second):
            raise LivesChangedError(
                f"partition {partition}: the archive has files of another hub now, before what {self._named} has "
                f"applied, so that its positions are others: it can't go on. {self._drop}"
            )
        if position < 0 or applied.created_at is None or generation < found or is_same:
            return
        raise HubMadeAnewError(
            f"partition {partition}: the hub was made anew at {self.created_at:%Y-%m-%d %H:%M:%S}, and the archive "
            f"has nothing of the hub before, of which {self._named} has {position + 1} events: it can't go on. "
            f"{self._drop}"
        )

    @property
    def _named(self) -> str:
        return f"version {self._version.version} of {self._version.projection}"

    @property
    def _drop(self) -> str:
        words = f"songline projection drop {self._version.projection} {self._version.version}"
        return f"Drop it with `{words}`, and rebuild"

    async def check(self) -> None:
        """Raise HubMadeAnewError where what was read since the pass began may be of two hubs."""
        found = (await self._hub.describe()).created_at
        if not same_hub(found, self.created_at):
            raise HubMadeAnewError(
                f"the hub was made anew at {found:%Y-%m-%d %H:%M:%S} while its events were read. What was read since "
                "the last save is not used. Repeat the command: it goes on from there with the new hub"
            )

    def at_end(self, partition: str, applied: int) -> int:
        """The lasting position that is applied after a pass to the hub's end that has applied all up to `applied`. Of
        the hub as it is now that may be nothing yet."""
        return max(applied, lasting_position(self.generations.get(partition, 0), -1))

    def watermark(self, partition: str, applied: int, through: datetime | None) -> Watermark:
        """The watermark of a lasting position. One of a hub before is of no hub that can be read."""
        generation, position = split_position(applied)
        is_of_today = generation == self.generations.get(partition)
        return Watermark(
            position=position,
            generation=generation,
            # A hub that is made anew later gets a generation above all resets.
            resets=generation,
            through=through,
            created_at=self.created_at if is_of_today else ANOTHER_HUB,
        )
