"""A listener's library, folded from their actions. Pure.

It is a fold of a set: the order of the actions, and how often one comes, change nothing.
"""

from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import groupby
from operator import attrgetter

from msgspec import Struct

from songline.schemas.last_write import is_outdated, last_write
from songline.schemas.library.action import Kind, UserAction, merge_actions

RECENT = 50
"""How many listens are listed as the last ones."""

_LISTENS: frozenset[Kind] = frozenset(("listen", "imported"))
_LIKES: frozenset[Kind] = frozenset(("like", "unlike"))
_UPLOADS: frozenset[Kind] = frozenset(("upload", "remove"))
_ON: frozenset[Kind] = frozenset(("like", "upload"))

HeardListen = tuple[int, str, int]
"""A listen: microseconds since 1970, the song, and for how many milliseconds it was heard (0 where that is unknown)."""

_by_position = attrgetter("partition", "position")
_song_of = attrgetter("song_id")


class FoldedSong(Struct, frozen=True, gc=False):
    """A song in a library. Moments are microseconds since 1970; None where there is none.

    `ms_played` sums up the listens whose length is known. `liked_us` and `uploaded_us`: since when it is liked, and
    uploaded.
    """

    song_id: str
    plays: int
    ms_played: int
    first_us: int | None
    last_us: int | None
    liked_us: int | None
    uploaded_us: int | None

    @property
    def recent_us(self) -> int | None:
        """When the song was last played; where it never was, when it was liked or uploaded; None: it is in no list."""
        if self.last_us is not None:
            return self.last_us
        return max((at_us for at_us in (self.liked_us, self.uploaded_us) if at_us is not None), default=None)


class FoldedLibrary(Struct, frozen=True):
    """A listener's library: the songs that are in any list, sorted by id, and sums.

    `heard`, `liked` and `uploaded` count songs. `recent`: the last RECENT listens, newest first.
    """

    songs: tuple[FoldedSong, ...]
    listens: int
    ms_played: int
    heard: int
    liked: int
    uploaded: int
    first_us: int | None
    last_us: int | None
    recent: tuple[HeardListen, ...]


def fold_actions(actions: Iterable[UserAction]) -> FoldedLibrary:
    """The library that comes of the `actions` of one listener, in any order, copies included.

    - A listen is known again by its song, its moment and its event, however old it is.
    - Of likes, and of uploads, the last event of a partition holds; between partitions the later event time, then the
      higher partition. One that was parked and sent again replaces nothing of its partition that happened after it.
    """
    rows = merge_actions((actions,))
    applied, known = _carried_positions(rows)
    if applied or known:
        rows = [row for row in rows if not _is_in_carried(row, applied, known)]
    songs: list[FoldedSong] = []
    listens: list[HeardListen] = []
    for song_id, of_song in groupby(rows, _song_of):
        song = _folded_song(song_id, of_song, listens)
        if song.recent_us is not None:
            songs.append(song)
    return FoldedLibrary(
        songs=tuple(songs),
        listens=sum(song.plays for song in songs),
        ms_played=sum(song.ms_played for song in songs),
        heard=sum(song.plays > 0 for song in songs),
        liked=sum(song.liked_us is not None for song in songs),
        uploaded=sum(song.uploaded_us is not None for song in songs),
        first_us=min((song.first_us for song in songs if song.first_us is not None), default=None),
        last_us=max((song.last_us for song in songs if song.last_us is not None), default=None),
        recent=tuple(nlargest(RECENT, listens)),
    )


def _carried_positions(rows: Iterable[UserAction]) -> tuple[dict[int, int], set[tuple[int, int]]]:
    """What the carried rows contain: the position of each partition, and (partition, mark) of single events."""
    applied: dict[int, int] = {}
    known: set[tuple[int, int]] = set()
    for row in rows:
        if row.kind == "applied":
            applied[row.partition] = max(row.position, applied.get(row.partition, -1))
        elif row.kind == "known":
            known.add((row.partition, row.mark))
    return applied, known


def _is_in_carried(row: UserAction, applied: dict[int, int], known: set[tuple[int, int]]) -> bool:
    """Whether the carried rows contain the event of the row.

    Likes and uploads up to the applied position stay: they are what the partition's last event before it said.
    """
    if row.position <= applied.get(row.partition, -1):
        return row.kind in _LISTENS
    return row.kind != "carried" and (row.partition, row.mark) in known


def _folded_song(song_id: str, rows: Iterable[UserAction], listens: list[HeardListen]) -> FoldedSong:
    """The song that `rows`, which are sorted, come to. Listens whose own moment is known are added to `listens`."""
    plays = ms_played = 0
    moments: list[int] = []
    likes: list[UserAction] = []
    uploads: list[UserAction] = []
    before: tuple[int, int, Kind] | None = None
    for row in rows:
        if row.kind in _LISTENS:
            # Rows of one event in several partitions are neighbours.
            event = (row.at_us, row.mark, row.kind)
            if event == before:
                continue
            before = event
        elif row.kind in _LIKES:
            likes.append(row)
            continue
        elif row.kind in _UPLOADS:
            uploads.append(row)
            continue
        elif row.kind != "carried":
            continue
        else:
            moments.append(row.first_us)
        plays += row.plays
        ms_played += row.ms_played
        moments.append(row.at_us)
        if row.plays == 1:
            listens.append((row.at_us, song_id, row.ms_played))
    return FoldedSong(
        song_id,
        plays,
        ms_played,
        min(moments, default=None),
        max(moments, default=None),
        _set_since(likes) if likes else None,
        _set_since(uploads) if uploads else None,
    )


def _set_since(rows: Sequence[UserAction]) -> int | None:
    """Since when a like or an upload is set, by the rows that say so or the opposite; None where it is not."""
    last: dict[int, UserAction] = {}
    for row in sorted(rows, key=_by_position):
        before = last.get(row.partition)
        if not (row.is_resubmitted and is_outdated(row.at_us, None if before is None else before.at_us)):
            last[row.partition] = row
    holds = last_write(last.items(), attrgetter("at_us"))
    return holds.at_us if holds is not None and holds.kind in _ON else None
