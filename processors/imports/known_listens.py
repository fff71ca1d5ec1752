"""The listens that a listener's imports have taken, by which the same listen is known when it comes again. Pure.

A page has 18 bytes a listen: six that stand for the name, six for the song it was matched with, six of the moment,
whose first bit says that it is known to the minute alone.
"""

from base64 import b64decode, b64encode
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from enum import Enum

from msgspec import Struct

from songline.schemas.library.action import event_mark

_PART = 6
ENTRY_BYTES = 3 * _PART
SECOND_MS = 1_000
MINUTE_MS = 60_000
_COARSE = 1 << 47


class TakenListen(Struct, frozen=True, gc=False):
    """A listen that was taken: marks of its name and its song, when it began, in Unix milliseconds, and whether that is
    known to the minute alone."""

    name_mark: int
    song_mark: int
    began_ms: int
    is_coarse: bool = False


class Sighting(Enum):
    """What is known of a listen that comes: nothing; another listen of this run is the same; this very listen was taken
    in this run before a crash; this import had it in a run before; another import has it, of the same song or not."""

    NEW = "new"
    DUPLICATE = "duplicate"
    AGAIN = "again"
    OWN = "own"
    OTHERS = "others"
    OTHER_SONG = "other-song"


class _Known(Struct, frozen=True, order=True, gc=False):
    began_ms: int
    is_coarse: bool
    song_mark: int
    source: int


_THIS_RUN, _OWN, _OTHERS = 0, 1, 2


class KnownListens:
    """All that the imports of a listener have taken, and what this run takes."""

    def __init__(self) -> None:
        self._by_name: dict[int, list[_Known]] = {}
        self._before_crash: set[TakenListen] = set()

    def add_page(self, listens: str, *, is_own: bool, is_this_run: bool) -> None:
        """Add a page: of this import (`is_own`), of this very run, or of another import. Raises ValueError."""
        for taken in unpacked(listens):
            if is_own and is_this_run:
                self._before_crash.add(taken)
            else:
                self._add(taken, _OWN if is_own else _OTHERS)

    def sight(self, taken: TakenListen) -> Sighting:
        """What is known of a listen. It counts as taken by this run afterwards, where nothing was or it is AGAIN."""
        sources = list(self._same(taken))
        if any(known.source == _THIS_RUN for known in sources):
            return Sighting.DUPLICATE
        if taken in self._before_crash:
            self._add(taken, _THIS_RUN)
            return Sighting.AGAIN
        if not sources:
            self._add(taken, _THIS_RUN)
            return Sighting.NEW
        # Only the first of the rows that are the same is known: the others are its copies.
        self._add(taken, _THIS_RUN)
        if any(known.source == _OWN for known in sources):
            return Sighting.OWN
        is_same_song = any(known.song_mark == taken.song_mark for known in sources)
        return Sighting.OTHERS if is_same_song else Sighting.OTHER_SONG

    def _add(self, taken: TakenListen, source: int) -> None:
        insort(
            self._by_name.setdefault(taken.name_mark, []),
            _Known(taken.began_ms, taken.is_coarse, taken.song_mark, source),
        )

    def _same(self, taken: TakenListen) -> Iterator[_Known]:
        """The listens that are the same, by the rule of libraries (`distinct_listens`)."""
        listens = self._by_name.get(taken.name_mark, [])
        start = bisect_left(listens, _Known(taken.began_ms - MINUTE_MS, False, 0, 0))
        for place in range(start, len(listens)):
            known = listens[place]
            if known.began_ms > taken.began_ms + MINUTE_MS:
                return
            if _is_same(known.began_ms, known.is_coarse, taken.began_ms, taken.is_coarse):
                yield known


def _is_same(one_ms: int, one_is_coarse: bool, other_ms: int, other_is_coarse: bool) -> bool:
    if abs(one_ms // SECOND_MS - other_ms // SECOND_MS) <= 1:
        return True
    first_is_coarse = one_is_coarse if one_ms < other_ms else other_is_coarse
    return first_is_coarse and abs(one_ms - other_ms) < MINUTE_MS


def taken_listen(name_id: str, song_id: str, began_ms: int, precision_ms: int | None = None) -> TakenListen:
    """A listen as pages have it."""
    name_mark = event_mark(name_id)
    return TakenListen(
        name_mark, name_mark if song_id == name_id else event_mark(song_id), began_ms, (precision_ms or 0) >= MINUTE_MS
    )


def packed(listens: Iterable[TakenListen]) -> str:
    """A page's text."""
    data = b"".join(
        part.to_bytes(_PART, "big")
        for one in listens
        for part in (one.name_mark, one.song_mark, one.began_ms | _COARSE * one.is_coarse)
    )
    return b64encode(data).decode("ascii")


def unpacked(page: str) -> Iterator[TakenListen]:
    """The listens in a page's text. Raises ValueError."""
    data = b64decode(page, validate=True)
    if len(data) % ENTRY_BYTES:
        raise ValueError(f"a page of listens has {len(data)} bytes, which is not a number of {ENTRY_BYTES}")
    parts = [int.from_bytes(data[at : at + _PART], "big") for at in range(0, len(data), _PART)]
    for name_mark, song_mark, moment in zip(*[iter(parts)] * 3, strict=True):
        yield TakenListen(name_mark, song_mark, moment & ~_COARSE, bool(moment & _COARSE))
