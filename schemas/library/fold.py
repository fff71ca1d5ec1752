"""A listener's library, folded from their actions. Pure.

It is a fold of a set: the order of the actions, and how often one comes, change nothing.
"""

from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, Self

from msgspec import Struct

from songline.schemas.last_write import is_outdated, last_write
from songline.schemas.library.action import Kind, UserAction, merge_actions

RECENT = 50
"""How many listens are listed as the last ones."""

_LISTENS: frozenset[Kind] = frozenset(("listen", "imported", "coarse"))
_LIKES: frozenset[Kind] = frozenset(("like", "unlike"))
_UPLOADS: frozenset[Kind] = frozenset(("upload", "remove"))
_ON: frozenset[Kind] = frozenset(("like", "upload"))

_SECOND_US = 1_000_000
_MINUTE_US = 60_000_000
_REPORTED: frozenset[Kind] = frozenset(("listen", "carried"))
_RANKS: dict[Kind, int] = {"listen": 0, "carried": 0, "imported": 1, "coarse": 2}

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
    - An imported listen that is the same as another listen of its song (see `distinct_listens`) counts once. An import
      that was taken back has none.
    - Of likes, and of uploads, the last event of a partition holds; between partitions the later event time, then the
      higher partition. One that was parked and sent again replaces nothing of its partition that happened after it.
    """
    return _summed(*_folded(actions))


def _summed(songs: Sequence[FoldedSong], listens: Iterable[HeardListen]) -> FoldedLibrary:
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


def heard_listens(
    actions: Iterable[UserAction], since_us: int | None = None, until_us: int | None = None
) -> list[HeardListen]:
    """The listens of one listener whose own moment is known, from `since_us` on and before `until_us` (microseconds
    since 1970; None is no bound), oldest first."""
    return sorted(_folded(actions, _Window.of(since_us, until_us))[1])


class _Window(NamedTuple):
    """Microseconds since 1970, from `since_us` on and before `until_us`."""

    since_us: float
    until_us: float

    @classmethod
    def of(cls, since_us: int | None, until_us: int | None) -> Self:
        """The window with these bounds, None for no bound."""
        return cls(float("-inf") if since_us is None else since_us, float("inf") if until_us is None else until_us)


_ALWAYS = _Window.of(None, None)


def _folded(actions: Iterable[UserAction], window: _Window = _ALWAYS) -> tuple[list[FoldedSong], list[HeardListen]]:
    rows = merge_actions((actions,))
    carried = _find_carried(rows)
    undone = {row.import_mark for row in rows if row.kind == "undone"}
    if undone:
        rows = [row for row in rows if row.import_mark not in undone]
    if carried.applied or carried.known or carried.state:
        rows = [row for row in rows if not _is_in_carried(row, carried)]
    songs: list[FoldedSong] = []
    listens: list[HeardListen] = []
    for song_id, of_song in groupby(rows, _song_of):
        song = _folded_song(song_id, of_song, window, listens)
        if song.recent_us is not None:
            songs.append(song)
    return songs, listens


def fold_window(actions: Iterable[UserAction], since_us: int | None, until_us: int | None) -> FoldedLibrary:
    """What was heard from `since_us` on and before `until_us`, as a library: listens alone, no likes and uploads.

    Moments are microseconds since 1970; None is no bound. Carried sums count at their last listen. A listen that is
    told twice is in the window of the row that counts, also where the other one is in a window beside it.
    """
    heard = (row for row in actions if row.kind not in _LIKES and row.kind not in _UPLOADS)
    return _summed(*_folded(heard, _Window.of(since_us, until_us)))


class _Carried(NamedTuple):
    """What the carried rows contain: the position of each partition, and (partition, mark) of single events. The sums
    of one `state` of the former documents hold, the last one: others are of tries before."""

    applied: dict[int, int]
    known: set[tuple[int, int]]
    state: int


def _find_carried(rows: Iterable[UserAction]) -> _Carried:
    applied: dict[int, int] = {}
    known: set[tuple[int, int]] = set()
    state = 0
    for row in rows:
        if row.kind == "applied":
            applied[row.partition] = max(row.position, applied.get(row.partition, -1))
        elif row.kind == "known":
            known.add((row.partition, row.mark))
        elif row.kind == "carried":
            state = max(state, row.import_mark)
    return _Carried(applied, known, state)


def _is_in_carried(row: UserAction, carried: _Carried) -> bool:
    """Whether the carried rows contain the event of the row, or what it carries.

    Likes and uploads up to the applied position stay: they are what the partition's last event before it said.
    """
    if row.kind == "carried":
        return row.import_mark != carried.state
    if row.position <= carried.applied.get(row.partition, -1):
        return row.kind in _LISTENS
    return (row.partition, row.mark) in carried.known


def _folded_song(song_id: str, rows: Iterable[UserAction], window: _Window, listens: list[HeardListen]) -> FoldedSong:
    """The song that `rows`, which are sorted, come to, with the listens in `window`. Those of them whose own moment is
    known are added to `listens`."""
    plays = ms_played = 0
    moments: list[int] = []
    likes: list[UserAction] = []
    uploads: list[UserAction] = []
    heard: list[UserAction] = []
    before: tuple[int, int, Kind] | None = None
    for row in rows:
        if row.kind in _LISTENS:
            # Rows of one event in several partitions, or of several imports, are neighbours.
            event = (row.at_us, row.mark, row.kind)
            if event != before:
                heard.append(row)
            before = event
        elif row.kind in _LIKES:
            likes.append(row)
        elif row.kind in _UPLOADS:
            uploads.append(row)
        elif row.kind == "carried":
            heard.append(row)
    counted = distinct_listens(heard)
    if window is not _ALWAYS:
        counted = [row for row in counted if window.since_us <= row.at_us < window.until_us]
    for row in counted:
        if row.kind == "carried":
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


def distinct_listens(rows: list[UserAction]) -> list[UserAction]:
    """The rows of one song's listens, without imported ones that tell the same listen as another row.

    In the order of their begin, two are the same where they begin at most a second apart, counted in whole seconds, or
    within the minute of one whose moment is known to the minute. Of the same listen the one that was reported stays,
    else the one with the finer moment, else the earlier. Reported listens all stay. So does what was carried over: one
    listen is a reported one, and of several in sum the moments are not known.
    """
    if all(row.kind in _REPORTED for row in rows):
        return rows
    kept: list[UserAction] = [row for row in rows if row.plays != 1]
    first = len(kept)
    told = (row for row in rows if row.plays == 1)
    for row in sorted(told, key=lambda row: (row.at_us, _RANKS[row.kind], -row.ms_played)):
        last = kept[-1] if len(kept) > first else None
        is_same = last is not None and _is_same_listen(last, row)
        if row.kind in _REPORTED:
            while len(kept) > first and kept[-1].kind not in _REPORTED and _is_same_listen(kept[-1], row):
                kept.pop()
            kept.append(row)
        elif not is_same:
            kept.append(row)
        elif kept[-1].kind == "coarse" and row.kind == "imported":
            kept[-1] = row
    return kept


def _is_same_listen(one: UserAction, later: UserAction) -> bool:
    if later.at_us // _SECOND_US - one.at_us // _SECOND_US <= 1:
        return True
    return one.kind == "coarse" and later.at_us - one.at_us < _MINUTE_US


def _set_since(rows: Sequence[UserAction]) -> int | None:
    """Since when a like or an upload is set, by the rows that say so or the opposite; None where it is not."""
    last: dict[int, UserAction] = {}
    for row in sorted(rows, key=_by_position):
        before = last.get(row.partition)
        if not (row.is_resubmitted and is_outdated(row.at_us, None if before is None else before.at_us)):
            last[row.partition] = row
    holds = last_write(last.items(), attrgetter("at_us"))
    return holds.at_us if holds is not None and holds.kind in _ON else None
