"""The sequence numbers of a queue in order, for reading from any of them on."""

from bisect import bisect_left
from collections.abc import Collection, Iterator


class SequenceOrder:
    """Sequence numbers in the order in which they were given out; those whose message is gone may still be there."""

    def __init__(self) -> None:
        self._sequences: list[int] = []

    def append(self, sequence: int) -> None:
        self._sequences.append(sequence)

    def starting_at(self, sequence: int) -> Iterator[int]:
        """The numbers from `sequence` on."""
        for at in range(bisect_left(self._sequences, sequence), len(self._sequences)):
            yield self._sequences[at]

    def tidy(self, present: Collection[int]) -> None:
        """Keep only those that are `present`, once most are not."""
        if len(self._sequences) > 64 and len(self._sequences) > 2 * len(present):
            self._sequences = sorted(present)
