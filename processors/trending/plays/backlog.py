"""Songs' days that wait to be written: those first that have waited longest, each once however often it changes."""

from collections import deque
from collections.abc import Iterable
from itertools import count, islice, takewhile

import msgspec

from songline.schemas.decoding import MsgpackDecoder

Day = tuple[str, int]
"""A song, and a UTC day in days since 1970."""

SEGMENT = 3_000
"""Days a saved segment; at 140 bytes each at most it is under 500 KB."""


class Backlog:
    """A queue without duplicates that is saved as a log of segments, whose keys begin with `prefix`.

    Each flush returns what came since the flush before, and the keys of segments of which nothing waits any more. No
    segment is written twice: the next owner deletes the segments that it takes over, and an owner that has lost the
    shard without noticing it brings none of them back.

    A day that is set aside is neither due nor counted until it changes, or `take_back`. It is saved with the others, so
    that the next owner tries it.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._places: dict[Day, int] = {}
        self._aside: set[Day] = set()
        self._saved = 0
        self._segments: deque[tuple[int, str]] = deque()
        self._inherited: list[str] = []
        self.end = 0
        """The place of the next day that is added."""

    def __len__(self) -> int:
        return len(self._places) - len(self._aside)

    def __contains__(self, day: Day) -> bool:
        """Whether the day waits, or is set aside."""
        return day in self._places

    @property
    def begin(self) -> int:
        """The place of the day that has waited longest; all days before it are written, or set aside."""
        return next((place for day, place in self._places.items() if day not in self._aside), self.end)

    def add(self, days: Iterable[Day]) -> None:
        """Let days wait that don't wait yet. Each is named once."""
        if self._aside:
            days = list(days)
            for day in self._aside.intersection(days):
                self.remove(day)
        added = [day for day in days if day not in self._places]
        self._places.update(zip(added, count(self.end)))
        self.end += len(added)

    def oldest(self, limit: int) -> list[Day]:
        return list(islice((day for day in self._places if day not in self._aside), limit))

    def set_aside(self, day: Day) -> None:
        """The store refuses the day as it is."""
        if day in self._places:
            self._aside.add(day)

    def take_back(self) -> None:
        """Let days that are set aside wait again."""
        self.add(list(self._aside))

    def remove(self, day: Day) -> None:
        """The day is written, or need not be."""
        self._places.pop(day, None)
        self._aside.discard(day)

    def remove_before(self, number: int) -> None:
        """What is of days before this one (days since 1970) need not be written."""
        for day in [one for one in self._places if one[1] < number]:
            self.remove(day)

    def move_to_end(self, day: Day) -> None:
        """The day was written, and has changed meanwhile."""
        self.remove(day)
        self.add([day])

    def flush(self) -> tuple[dict[str, bytes], list[str]]:
        """Segments to save before the counts in them, and keys to delete after that."""
        news = list(takewhile(lambda place: place[1] >= self._saved, reversed(self._places.items())))[::-1]
        segments = {}
        for start in range(0, len(news), SEGMENT):
            part = news[start : start + SEGMENT]
            key = f"{self._prefix}{part[0][1]}"
            segments[key] = _encode([day for day, _ in part])
            self._segments.append((part[-1][1], key))
        self._saved = self.end
        gone, self._inherited = self._inherited, []
        first = next(iter(self._places.values()), self.end)
        while self._segments and self._segments[0][0] < first:
            gone.append(self._segments.popleft()[1])
        return segments, gone

    def saved(self) -> dict[str, bytes]:
        """The segments that are saved, by key, each with those of its days that wait still. Nothing may be inherited
        that was not flushed since."""
        places = iter(self._places.items())
        segments: dict[str, bytes] = {}
        held: list[Day] = []
        day = next(places, None)
        for last, key in self._segments:
            while day is not None and day[1] <= last:
                held.append(day[0])
                day = next(places, None)
            segments[key], held = _encode(held), []
        return segments

    def inherit(self, key: str, segment: bytes) -> None:
        """Take over a segment that an owner saved."""
        self.add(decode_segment(segment))
        self._inherited.append(key)


_encode = msgspec.msgpack.Encoder().encode
decode_segment = MsgpackDecoder(list[Day]).decode
