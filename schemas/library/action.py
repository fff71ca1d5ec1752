"""What a listener did with a song: the rows that a library is made of.

A library is a set of these. What is shown of it is a pure fold of the set, so nothing else is stored.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import chain, groupby
from operator import attrgetter, eq, itemgetter
from typing import Literal, NamedTuple, get_args

Kind = Literal[
    "listen", "like", "unlike", "upload", "remove", "imported", "carried", "applied", "known", "coarse", "undone"
]
"""What a row says.

`listen`, `like`, `unlike`, `upload` and `remove` are events. `imported` is a listen that a history file had, which
charts don't count; `coarse` is one whose moment is known to the minute. `undone`: the import with this `import_mark`
was taken back.

The others stand for documents of an earlier format, which had no single listens. `carried`: `plays` listens of a song
of `ms_played` in sum, the first at `first_us` and the last at `at_us`. `applied`: of the listener's events in
`partition`, what was up to `position` is in the carried rows. `known`: an event with this `mark` in `partition` is in
them too, so a copy that comes later does not count.
"""

KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds in the order of their numbers in a run: new ones are added at the end."""

MARK_BYTES = 6

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UserAction(NamedTuple):
    """What a listener did with a song at the moment `at_us`, from the event at `position` of `partition`.

    `at_us` and `first_us`: microseconds since 1970. `position`: a lasting position (see `songline.schemas.progress`).
    `mark`: 48 bits that stand for the event's id, see `event_mark`; listens of one song at one moment are told apart by
    them. `ms_played`: how long they listened, in milliseconds; 0 where the sender does not know. `is_resubmitted`: the
    event was parked, and sent again. `plays` and `first_us` are of `carried` rows; see Kind. `song_id` is empty where a
    row is about no song. `import_mark`, of imported and undone rows: 48 bits that stand for the import's id, so that
    what one import brought can be told from the rest. Of `carried`, `applied` and `known` rows: which state of the
    former documents they are of, a number that rises with every event of the listener. 0 for all others.

    The order of the fields is that of rows in a run.
    """

    user_id: str
    song_id: str
    at_us: int
    mark: int
    kind: Kind
    partition: int
    position: int
    ms_played: int = 0
    is_resubmitted: bool = False
    plays: int = 1
    first_us: int = 0
    import_mark: int = 0


IDENTITY = 6
"""So many of the first fields, and `import_mark`, say which action a row is of: a second event that agrees in them is a
copy. A listen that two imports brought has a row of each, and counts once."""

_identity_of = itemgetter(slice(IDENTITY))
_mark_of = attrgetter("mark")


def merge_actions(parts: Iterable[Iterable[UserAction]]) -> list[UserAction]:
    """The actions of all `parts`, sorted, each once: of copies the one with the lowest position stays.

    It is a union of sets: the order of `parts`, and how often one comes, change nothing. Parts that are sorted cost
    less.
    """
    rows = sorted(chain.from_iterable(parts))
    marks = list(map(_mark_of, rows))
    # Copies are neighbours, and have one mark. Nearly always there are none.
    return list(_without_copies(rows)) if any(map(eq, marks, marks[1:])) else rows


def _without_copies(rows: Iterable[UserAction]) -> Iterator[UserAction]:
    """The first of `rows`, which are sorted, of each identity and import."""
    for _, same in groupby(rows, key=_identity_of):
        imports: set[int] = set()
        for row in same:
            if row.import_mark not in imports:
                imports.add(row.import_mark)
                yield row


def event_mark(event_id: str) -> int:
    """48 bits that stand for an event's or an import's id, as `mark` and `import_mark` of UserAction have them."""
    return int.from_bytes(blake2b(event_id.encode(errors="replace"), digest_size=MARK_BYTES).digest(), "big")


def microseconds(moment: datetime) -> int:
    """The moment in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(at_us: int) -> datetime:
    """The moment, in UTC, that is so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=at_us)
