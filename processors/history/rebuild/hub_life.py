"""The life of the hub that a pass of a rebuild reads: a hub that is made anew counts its events from 0 again."""

from datetime import UTC, datetime

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


class HubLife:
    """The life in which a pass has found `hub`. Methods raise EventHubError."""

    def __init__(self, hub: HubMetadata, version: VersionDocument) -> None:
        self._hub = hub
        self._version = version
        self.created_at = ANOTHER_HUB
        """When the hub was created that the pass reads."""
        self._generations: dict[str, int] = {}
        """Of the positions of this life, by partition."""

    async def begin(self) -> HubDescription:
        """Begin a pass over the hub as it is now."""
        described = await self._hub.describe()
        self.created_at, self._generations = described.created_at, {}
        return described

    async def enter(self, history: HubHistory, partition: str, applied: int, created_at: datetime | None) -> None:
        """Begin with a partition of which all is applied up to the lasting position `applied`, the last of it in the
        hub that was created at `created_at`.

        Raises HubMadeAnewError where nothing tells positions of that hub from those of the hub as it is now."""
        generation, position = split_position(applied)
        found = self._generations[partition] = await history.hub_generation(partition, self.created_at, applied)
        if position < 0 or created_at is None or generation < found or same_hub(created_at, self.created_at):
            return
        projection, number = self._version.projection, self._version.version
        raise HubMadeAnewError(
            f"partition {partition}: the hub was made anew at {self.created_at:%Y-%m-%d %H:%M:%S}, and the archive "
            f"has nothing of the hub before, of which version {number} of {projection} has {position + 1} events: it "
            f"can't go on. Drop it with `songline projection drop {projection} {number}`, and rebuild"
        )

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
        return max(applied, lasting_position(self._generations.get(partition, 0), -1))

    def watermark(self, partition: str, applied: int, through: datetime | None) -> Watermark:
        """The watermark of a lasting position. One of a hub before is of no hub that can be read."""
        generation, position = split_position(applied)
        is_of_today = generation == self._generations.get(partition)
        return Watermark(
            position=position,
            generation=generation,
            # A hub that is made anew later gets a generation above all resets.
            resets=generation,
            through=through,
            created_at=self.created_at if is_of_today else ANOTHER_HUB,
        )
