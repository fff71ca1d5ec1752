"""Places for what comes in at a time: so many in all, a share of them for each caller."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from songline.producers.http.body_pacing import BodyPaceMeter


class NoSlotError(Exception):
    """All places are taken, or all that one caller may have. Asking again later may do."""


class UploadSlots:
    """`total` places, `each` at most for one caller. A sender that stalls loses its place to one that has none."""

    def __init__(self, total: int, each: int) -> None:
        self.total, self.each = total, each
        self._taken: dict[BodyPaceMeter, str | None] = {}

    @contextmanager
    def occupied(self, caller: str | None, meter: BodyPaceMeter, now: Callable[[], float]) -> Iterator[None]:
        """A place for a sender of `caller`, until the end; raises NoSlotError. Callers that are not known (None) share
        all places."""
        own = [one for one, of in self._taken.items() if caller is not None and of == caller]
        if len(own) >= self.each and not self._displaced(own, now()):
            raise NoSlotError(f"{self.each} uploads of {caller} are on their way in, and one caller has no more places")
        if len(self._taken) >= self.total and not self._displaced(self._taken, now()):
            raise NoSlotError(f"{self.total} uploads are on their way in, and no more may be")
        self._taken[meter] = caller
        try:
            yield
        finally:
            # Gone already where another one has its place.
            self._taken.pop(meter, None)

    def _displaced(self, meters: Iterable[BodyPaceMeter], now: float) -> bool:
        """Whether one of them stalls; the one that does so most has lost its place then."""
        stalling = [meter for meter in meters if meter.is_stalling(now)]
        if not stalling:
            return False
        worst = min(stalling, key=lambda meter: meter.left(now))
        del self._taken[worst]
        worst.displace()
        return True
