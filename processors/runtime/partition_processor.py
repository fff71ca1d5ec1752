"""What a projection does with one partition, and how it ends."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError


class PartitionProcessor(Protocol):
    """What a projection does with one partition, for as long as this worker owns it."""

    @property
    def is_full(self) -> bool:
        """Whether it holds as much as it may, and must be flushed."""

    async def process(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Fold the next records; return what of them can't be decoded, by position, to be parked.

        Positions only rise, also when the hub is made anew (see `songline.schemas.progress.lasting_position`). A record
        that comes again, in whatever batch, changes nothing more. Raises ItemRefusedError.
        """

    async def flush(self) -> None:
        """Return once everything that was processed is written. Raises ItemRefusedError."""

    def close(self) -> None:
        """Drop what was processed and not flushed: it comes again, to the partition's next owner."""


OpenProcessor = Callable[[str, PersistentRetry], PartitionProcessor]
"""Makes the processor of a partition, of its name and its retries."""


class ReadAgainError(Exception):
    """The partition must be read again from behind what is applied."""


class FoldCrashedError(Exception):
    """A fold or a write raised an error that is not foreseen. An attempt is written, and the process must end."""


class ParkingStoppedError(Exception):
    """As many records were parked as may be: nothing is folded any more."""
