"""How many documents may be written at a moment, by how many may be a second."""

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
        now_s = self._steady()
        allowed = max(1, round(self._per_s * min(1.0, now_s - self._called_s)))
        self._called_s = now_s
        return allowed
