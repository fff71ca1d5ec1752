"""Attempts: what a reader is about to fold, written before it does. Its next life learns from them what ended it.

A stay is the time for which one reader holds a partition. It writes an attempt when it begins and closes it when it
ends well. A reader that finds an open attempt of a stay that a record may have ended folds the records after it in
pieces; after one that was killed in the middle of its work it folds as usual (`was_killed`). It writes the first piece
before it folds it, and then all that follow at once: each is committed before the next, so the position says in which
one a stay has ended. Pieces of several partitions are folded beside one another. Those that a stay has ended in are
suspects: the next stay divides them, writes each part and folds it alone, until one record alone has ended SINGLE_TRIES
stays: that record is the culprit. Everything here is pure; `AttemptStore` keeps the documents.
"""

from msgspec import Struct, structs

PIECE = 32
"""Records of the first piece."""

GROWTH, LARGEST_PIECE = 8, 2_048
"""After each piece that is folded the next one is so much larger: a piece costs two writes, whatever its size."""

REACH = 20_000
"""A stay holds at most so many unwritten records: the record that ended it is among so many after its position."""

STRIDE = REACH
"""A stay that wrote so many records was not ended by one that ends it at once. Since the record that ended it is within
REACH, the next stay that the same record ends has written fewer: it is looked for one start later at most."""

SINGLE_TRIES = 2
"""So many stays must end in one record alone before it is the culprit: a stay may be killed there by chance."""


class Attempt(Struct, frozen=True, kw_only=True, rename="camel"):
    """The document of a reader's partition; `id` is made by `attempt_id`.

    `owner` names the stay. `first` is the position that is folded next, `piece_last` the last position of the piece, or
    of several pieces, each committed before the next; None where the stay folds without pieces. `tries`: how many stays
    began exactly this piece alone. `error`: the last line of the error that ended the stay, empty where none was seen.
    `parked_in_a_row`: records that crashed the fold or were refused, with none applied between. `open` until the stay
    ends well.
    """

    id: str
    owner: str
    first: int
    open: bool = True
    piece_last: int | None = None
    tries: int = 0
    error: str = ""
    parked_in_a_row: int = 0

    def covers(self, position: int) -> bool:
        """Whether the record at `position` is of the piece, or of the pieces."""
        return self.piece_last is not None and self.first <= position <= self.piece_last


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

    def written_until(self, last: int) -> int:
        """Up to where an attempt is written before the piece that ends at `last`: the first piece by itself."""
        return last if self.size <= PIECE else max(last, self.until)

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
    if before.open and before.covers(position):
        return structs.replace(before, owner=owner, first=position, tries=0)
    row = before.parked_in_a_row
    return Attempt(id=key, owner=owner, first=position, parked_in_a_row=row, error=before.error if before.open else "")


def was_killed(before: Attempt, position: int, stride: int) -> bool:
    """Whether the stay of an open attempt was ended from outside, as far as is known: it noted no error, was not in a
    piece, and had written `stride` records or more, up to `position`.

    A record that ends each worker ends the next one too, which has written less by then.
    """
    return not before.error and not before.covers(position) and position - before.first >= stride


def plan_dissection(
    before: Attempt | None, position: int, hub_last: int, stride: int, largest: int | None = None
) -> Dissection | None:
    """How to fold from `position` on after the attempt `before`; None where no pieces are needed. `hub_last` is the
    hub's last position, `stride` that of `was_killed`, `largest` how many records a piece has at most, where that is
    known."""
    if before is None or not before.open or was_killed(before, position, stride):
        return None
    found = Dissection(until=min(hub_last, position + REACH - 1))
    if before.covers(position):
        assert before.piece_last is not None
        records = before.piece_last - position + 1
        if largest is not None:
            records = min(records, largest)
        found.close_until = position + records - 1
        found.close = 1 if records <= PIECE else PIECE
        found.until = max(found.until, found.close_until)
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


def attempt_before(written: Attempt, plan: Dissection, first: int, last: int) -> Attempt | None:
    """The attempt to be written before the piece from `first` to `last` is folded by `plan`; None where `written`,
    which is in the store, covers it."""
    if plan.is_suspect(first):
        return attempt_piece(written, first, last)
    if not written.tries and written.covers(first) and written.covers(last):
        return None
    return attempt_piece(written, first, plan.written_until(last), alone=False)
