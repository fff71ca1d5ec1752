"""What the bytes of an upload cost their sender: one may send so many in a day, and those of an upload that is not
accepted cost nothing."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

BYTES = "bytes"
"""Where the ASGI state of a request has its ByteAllowance."""


class ByteAllowance(Protocol):
    """The bytes that the caller of a request may upload."""

    def take(self, size: int, whole: int) -> None:
        """Take `size` bytes more of an upload that has `whole` of them by then. Raises RequestDeclinedError (413 where
        no caller may upload so much in a day, 429 where this one may not yet)."""

    def give_back(self, size: int) -> None:
        """Give bytes back."""


class ByteCharge:
    """Counts the bytes of one upload, as a context manager: what is not kept by its end is given back.

    `announced` bytes at most will come, if that is known: then they are taken before any of them has come.
    """

    def __init__(self, allowance: ByteAllowance | None, announced: int | None) -> None:
        self._allowance = allowance
        self._taken = self._come = self._kept = 0
        if announced is not None:
            self._take(announced)

    def count(self, size: int) -> None:
        """Count bytes that have come. Raises RequestDeclinedError."""
        self._come += size
        if self._come > self._taken:
            self._take(self._come - self._taken)

    def keep(self) -> None:
        """Keep what has come: the upload is accepted."""
        self._kept = min(self._come, self._taken)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._allowance is not None and self._taken > self._kept:
            self._allowance.give_back(self._taken - self._kept)
        self._taken = self._kept

    def _take(self, size: int) -> None:
        if self._allowance is not None:
            self._allowance.take(size, self._taken + size)
            self._taken += size


def byte_charge(scope: Mapping[str, Any], announced: int | None) -> ByteCharge:
    """The charge of an upload by a request with this ASGI scope. Raises RequestDeclinedError."""
    return ByteCharge(scope.get("state", {}).get(BYTES), announced)
