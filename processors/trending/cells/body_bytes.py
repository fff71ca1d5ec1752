"""The bytes of many bodies, from which pieces are cut a column at a time."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

MARGIN_BYTES = 1_024
"""So much may be cut off behind the last body: what is there is zeros."""

_SPACE, _BACKSLASH, _LAST_ASCII = ord(" "), ord("\\"), 127


class BodyBytes:
    """Bodies behind one another. `starts` and `ends` are where each is."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._joined = b"".join((*bodies, bytes(MARGIN_BYTES)))
        self.ends: Ints = np.cumsum(np.fromiter(map(len, bodies), np.int64, len(bodies)))
        self.starts: Ints = np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])

    def simple(self) -> Ints:
        """The places of the bodies that are ASCII which stands for itself in a JSON text: no escape, no control."""
        found = np.frombuffer(self._joined, np.uint8)[:-MARGIN_BYTES]
        if b"\\" not in self._joined and self._joined.isascii() and found.min(initial=_SPACE) >= _SPACE:
            return np.arange(len(self.ends))
        odd = np.flatnonzero((found < _SPACE) | (found > _LAST_ASCII) | (found == _BACKSLASH))
        is_simple = np.ones(len(self.ends), np.bool_)
        is_simple[np.searchsorted(self.ends, odd, side="right")] = False
        return np.flatnonzero(is_simple)

    def cut(self, at: Ints, width: int) -> Bytes:
        """`width` bytes from each of these places, a row each."""
        # A view with a step of one byte: numpy copies each row as one piece of memory.
        pieces = np.ndarray((len(self._joined) - width + 1,), f"V{width}", self._joined, 0, (1,))
        return pieces[at].view(np.uint8).reshape(-1, width)
