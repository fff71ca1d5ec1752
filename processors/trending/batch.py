"""What one fetch brought from one partition."""

from collections.abc import Sequence

from msgspec import Struct


class Batch(Struct, frozen=True):
    """Records in their order, in columns. Offsets rise, but may have gaps (compaction).

    `logged_ms`: the records' timestamps in Unix milliseconds, -1 where there is none. On Event Hubs that is when
    the log took them. `begin` is the offset that was asked for, `end` the one to ask for next; there may be no record
    between them.
    """

    begin: int
    end: int

    offsets: Sequence[int]
    logged_ms: Sequence[int]
    bodies: Sequence[bytes]
