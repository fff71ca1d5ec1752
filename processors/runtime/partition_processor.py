"""What a projection does with one partition, and how it ends."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.errors import PoisonError


class PartitionProcessor(Protocol):
    """What a projection does with one partition, for as long as that is in our hands."""

    @property
    def full(self) -> bool:
        """Whether it holds as much as it may, and must be flushed."""

    async def take(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        """Fold what comes next; return what of it can't be understood, by position, which is to be parked.

        Positions rise for good, also when the hub is made anew (see `songline.schemas.progress.lasting_position`).
        A record that comes again, with other neighbours, changes nothing more. Raises ItemRefusedError.
        """

    async def flush(self) -> None:
        """Return when everything that was taken is written. Raises ItemRefusedError."""

    def close(self) -> None:
        """The partition is given up: what was taken and not flushed will come again, to whoever has it then."""


OpenProcessor = Callable[[str, PersistentRetry], PartitionProcessor]
"""Makes the processor of a partition, of its name."""


class ReadAgainError(Exception):
    """The partition is to be read again from its checkpoint."""


class FoldCrashedError(Exception):
    """A fold or a write raised what nobody foresaw; an attempt is noted, and the process is to end."""


class ParkingStoppedError(Exception):
    """As many records were parked as may be: nothing is folded any more."""
