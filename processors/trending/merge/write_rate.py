"""How many documents may be written at a moment, by how many may be a second, and by how many wait."""

from collections.abc import Callable


class WriteRate:
    """Calls return how many documents may be written: those of the time since the last call, of a second at most.

    `steady` returns seconds.
    """

    def __init__(self, per_s: int, steady: Callable[[], float]) -> None:
        self._per_s = per_s
        self._steady = steady
        self._called_s = steady() - 1.0

    def __call__(self) -> int:
        return self._allowed(self._per_s)

    def _allowed(self, per_s: float) -> int:
        now_s = self._steady()
        allowed = max(1, round(per_s * min(1.0, now_s - self._called_s)))
        self._called_s = now_s
        return allowed


class RoundRate(WriteRate):
    """The rate is reached where `many` documents wait. Where fewer do, as much less is written: all of them in the time
    that `many` would take, and `least` of the rate in any case.

    While events come nearly every document waits again as soon as it is written. At the full rate each would be written
    mostly for the next one to replace it.
    """

    def __init__(self, per_s: int, least: float, many: int, steady: Callable[[], float]) -> None:
        super().__init__(per_s, steady)
        self._least = least
        self._many = many

    def of(self, waiting: int) -> int:
        return self._allowed(self._per_s * min(1.0, max(self._least, waiting / self._many)))
