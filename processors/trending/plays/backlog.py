"""What waits to be written: days of songs, the longest waiting first, each once however often it changes."""

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
    """A queue without doubles that is saved as a log of segments, their keys beginning with `prefix`.

    Each flush gives what came since the one before, and the keys of segments of which nothing waits any more. No
    segment is written twice: the next owner deletes what it has taken over, and this one, which may have lost the
    shard without knowing it, brings nothing of that back.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._places: dict[Day, int] = {}
        self._saved = 0
        self._segments: deque[tuple[int, str]] = deque()
        self._inherited: list[str] = []
        self.end = 0
        """The place that the next one to come will have."""

    @property
    def begin(self) -> int:
        """The place of the longest waiting; all before are written."""
        return next(iter(self._places.values()), self.end)

    def add(self, days: Iterable[Day]) -> None:
        """Days that have changed; those that don't wait yet do so from now on. Each is named once."""
        news = [day for day in days if day not in self._places]
        self._places.update(zip(news, count(self.end)))
        self.end += len(news)

    def oldest(self, limit: int) -> list[Day]:
        return list(islice(self._places, limit))

    def done(self, day: Day) -> None:
        self._places.pop(day, None)

    def again(self, day: Day) -> None:
        """It was written and has changed meanwhile: it goes to the end."""
        self.done(day)
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
        while self._segments and self._segments[0][0] < self.begin:
            gone.append(self._segments.popleft()[1])
        return segments, gone

    def inherit(self, key: str, segment: bytes) -> None:
        """Take over a segment that was saved."""
        self.add(decode_segment(segment))
        self._inherited.append(key)


_encode = msgspec.msgpack.Encoder().encode
decode_segment = MsgpackDecoder(list[Day]).decode
