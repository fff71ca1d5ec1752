"""Attempts: what a reader is about to fold, written before it does. Its next life learns from them what ended it.

A stay is the time for which one reader holds a partition. It writes an attempt when it begins and closes it when it
ends well. A reader that finds an open attempt folds the records after it in pieces, and writes each piece before it
folds it. Pieces of several partitions are folded beside one another. Those that a stay has ended in are suspects: the
next stay divides them, and folds each part alone, until one record alone has ended SINGLE_TRIES stays: that record is
the culprit. Everything here is pure; `AttemptStore` keeps the documents.
"""

from msgspec import Struct, structs

PIECE = 32
"""Records of the first piece."""

GROWTH, LARGEST_PIECE = 8, 2_048
"""After each piece that is folded the next one is so much larger: a piece costs some writes, whatever its size."""

REACH = 20_000
"""A stay holds at most so many unwritten records: the record that ended it is among so many after its position."""

SINGLE_TRIES = 2
"""So many stays must end in one record alone before it is the culprit: a stay may be killed there by chance."""


class Attempt(Struct, frozen=True, kw_only=True, rename="camel"):
    """The document of a reader's partition; `id` is made by `attempt_id`.

    `owner` names the stay. `first` is the position that is folded next, `piece_last` the last position of the piece,
    None where the stay folds without pieces. `tries`: how many stays began exactly this piece alone. `error`: the last
    line of the error that ended the stay, empty where none was seen. `parked_in_a_row`: records that crashed the fold
    or were refused, with none applied between. `open` until the stay ends well.
    """

    id: str
    owner: str
    first: int
    open: bool = True
    piece_last: int | None = None
    tries: int = 0
    error: str = ""
    parked_in_a_row: int = 0


class Dissection(Struct):
    """How the records up to `until` are folded after a stay that ended badly. Those up to `close_until` are suspects,
    in pieces of at most `close` records; after that a piece has `size`, which grows."""

    until: int
    close_until: int = -1
    close: int = PIECE
    size: int = PIECE

    def next_size(self, position: int) -> int:
        """Records of the piece that begins at `position`, at least one."""
        if self.is_suspect(position):
            return min(self.close, self.close_until - position + 1)
        return max(1, min(self.size, self.until - position + 1))

    def is_suspect(self, position: int) -> bool:
        """Whether a stay has ended in a piece with the record at `position`, so that it is folded with no other piece
        beside it."""
        return position <= self.close_until

    def advance(self, position: int) -> None:
        """Record that the piece that ends at `position` is folded, or its culprits are parked."""
        if not self.is_suspect(position):
            self.size = min(GROWTH * self.size, LARGEST_PIECE)

    def is_over(self, position: int) -> bool:
        """Whether records after `position` are folded without pieces again."""
        return position >= self.until


def attempt_id(reader: str, hub: str, partition: str) -> str:
    """`library:music-events:2`."""
    return f"{reader}:{hub}:{partition}"


def begin_attempt(before: Attempt | None, key: str, owner: str, position: int) -> Attempt:
    """The attempt of the stay `owner`, which begins with the record at `position`, after the attempt `before`.

    The piece and error of an open attempt are kept until the first piece is written.
    """
    if before is None:
        return Attempt(id=key, owner=owner, first=position)
    if before.open and before.first == position:
        return structs.replace(before, owner=owner)
    row = before.parked_in_a_row
    return Attempt(id=key, owner=owner, first=position, parked_in_a_row=row, error=before.error if before.open else "")


def plan_dissection(before: Attempt | None, position: int, hub_last: int) -> Dissection | None:
    """How to fold from `position` on after the attempt `before`; None where no pieces are needed. `hub_last` is the
    hub's last position."""
    if before is None or not before.open:
        return None
    found = Dissection(until=min(hub_last, position + REACH - 1))
    if before.first == position and before.piece_last is not None:
        records = before.piece_last - position + 1
        found.close_until = before.piece_last
        found.close = 1 if records <= PIECE else PIECE
        found.until = max(found.until, before.piece_last)
    return found if found.until >= position else None


def is_culprit(before: Attempt | None, position: int) -> bool:
    """Whether the record at `position` alone has ended so many stays that it is parked without another try."""
    return (
        before is not None
        and before.open
        and before.first == before.piece_last == position
        and before.tries >= SINGLE_TRIES
    )


def attempt_piece(before: Attempt, first: int, last: int, *, alone: bool = True) -> Attempt:
    """The attempt with the piece from `first` to `last`, to be written before that is folded.

    Where it is not folded `alone`, it is no try: another piece may be what ends the stay.
    """
    again = (before.first, before.piece_last) == (first, last)
    return structs.replace(
        before,
        first=first,
        piece_last=last,
        tries=(before.tries if again else 0) + int(alone),
        error=before.error if again else "",
    )
