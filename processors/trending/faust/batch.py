"""Batches: the records that one fetch brought from one partition, in columns."""

from collections.abc import Mapping, Sequence

from msgspec import Struct


class Batch(Struct, frozen=True):
    """Records in their order, in columns. Offsets rise; they have gaps where nothing was a record (see `unreadable`).

    `logged_ms`: the records' timestamps in Unix milliseconds, -1 where there is none that a moment can have. On Event
    Hubs that is when the log took them. `begin` is the offset that was asked for, `end` the one to ask for next; there
    may be no record between them. `unreadable`: index to reason, of bodies that are the bytes of a whole record batch
    in which no record could be read; it stands at the offset of the first of them.
    """

    begin: int
    end: int

    offsets: Sequence[int]
    logged_ms: Sequence[int]
    bodies: Sequence[bytes]
    unreadable: Mapping[int, str] = {}

    def part(self, start: int, stop: int) -> "Batch":
        """The records from index `start` to `stop`, as a batch of their own that ends where the next one begins."""
        begin = self.begin if start == 0 else self.offsets[start]
        end = self.end if stop >= len(self.offsets) else self.offsets[stop]
        return Batch(
            begin,
            end,
            self.offsets[start:stop],
            self.logged_ms[start:stop],
            self.bodies[start:stop],
            {index - start: why for index, why in self.unreadable.items() if start <= index < stop},
        )


class ChangeBatch(Struct, frozen=True):
    """Records of a changelog in their order, in columns. A value that is None deletes its key.

    `logged_ms`: the records' timestamps in Unix milliseconds, -1 where there is none. `begin` is the offset that was
    asked for, `end` the one to ask for next; a changelog is compacted, so offsets between them may be missing.
    """

    begin: int
    end: int

    offsets: Sequence[int]
    logged_ms: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
