"""A listener's documents in the container `library`, as the former version stored them: a summary, and an entry for
each song. They are read to be carried over, and never written.

A listener's documents share a partition key. The summary has the position up to which each partition of `music-events`
is applied, and is written in one transaction with the entries that change.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from songline.schemas.last_write import last_write
from songline.schemas.types import MARKS_PATTERN, MAX_WHOLE, PARTITION_PATTERN, DurationMs, Id, Moment

SUMMARY = "summary"

Count = Annotated[int, Meta(ge=0, le=MAX_WHOLE)]
Partition = Annotated[str, Meta(pattern=PARTITION_PATTERN)]
Marks = Annotated[str, Meta(pattern=MARKS_PATTERN)]


class FlagState(Struct, frozen=True):
    """A like or an upload by the last event of a partition: whether it is set, and when that happened."""

    on: bool
    at: Moment


class EntryDocument(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song in a listener's library: `id` is `song:` and the song's. Plays are listens; see docs/library.md.

    `likes` and `uploads` hold each partition's last state; the later event time holds, then the higher partition. The
    orders are what lists are sorted by, descending, and are there only where the song belongs into the list.
    """

    id: str
    user_id: Id
    song_id: Id
    plays: Count = 0
    ms_played: Count = 0
    first_played_at: Moment | None = None
    last_played_at: Moment | None = None
    likes: dict[Partition, FlagState] = {}
    uploads: dict[Partition, FlagState] = {}
    by_recent: str | None = None
    by_plays: str | None = None
    by_liked: str | None = None
    by_uploaded: str | None = None

    @property
    def liked_at(self) -> Moment | None:
        return flag_since(self.likes)

    @property
    def uploaded_at(self) -> Moment | None:
        return flag_since(self.uploads)


class Listen(Struct, frozen=True, kw_only=True, rename="camel", order=True):
    """A listener heard a song, for so many milliseconds. Ordered by moment."""

    at: Moment
    song_id: Id
    ms_played: DurationMs


class SummaryDocument(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What there is of a listener, in sum.

    `songs`, `liked` and `uploaded` count songs. `recent`: the latest listens, newest first. `applied`: partition to the
    sequence number of the last event that changed anything. `seen`: partition to marks of the last events' ids.
    `resubmitted`: marks of the parked records that events were sent again for, the last ones.
    """

    id: str
    user_id: Id
    listens: int = 0
    ms_played: int = 0
    songs: int = 0
    liked: int = 0
    uploaded: int = 0
    first_listen_at: Moment | None = None
    last_listen_at: Moment | None = None
    recent: tuple[Listen, ...] = ()
    applied: dict[Partition, Count] = {}
    seen: dict[Partition, Marks] = {}
    resubmitted: str = ""


def entry_id(song_id: str) -> str:
    return f"song:{song_id}"


def flag_since(marks: Mapping[str, FlagState]) -> Moment | None:
    """Since when it is so, None when it is not: the latest mark by time holds, then that of the higher partition."""
    mark = last_write(((int(partition), mark) for partition, mark in marks.items()), lambda mark: mark.at)
    return mark.at if mark is not None and mark.on else None
