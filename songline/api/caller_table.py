"""What is kept of each caller: of a bounded number of them."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from songline.api.rate_bucket import BucketPolicy, Drawn, draw, give_back, owe, wait_s

ROOM = 10_000
"""So many callers are known. One that is forgotten, because as many others came since, begins with a full bucket."""


class TooManyStreamsError(Exception):
    """The caller has as many streams as one may have."""


class CallerTable:
    """The buckets of callers, by a name for each, and how many streams they have."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._full_s: OrderedDict[str, float] = OrderedDict()
        self._streams: Counter[str] = Counter()

    def draw(self, name: str, policy: BucketPolicy, now_s: float, amount: int = 1) -> Drawn:
        """Take a request, or as many bytes, out of the caller's bucket."""
        return self._kept(name, draw(policy, self._full_s.get(name, now_s), now_s, amount))

    def give_back(self, name: str, policy: BucketPolicy, now_s: float, amount: int) -> Drawn:
        """Put back what was taken out of the caller's bucket and is not used."""
        return self._kept(name, give_back(policy, self._full_s.get(name, now_s), now_s, amount))

    def wait_s(self, name: str, policy: BucketPolicy, now_s: float, amount: int) -> int:
        """Whole seconds until the caller's bucket has `amount`."""
        return wait_s(policy, self._full_s.get(name, now_s), now_s, amount)

    def owe(self, name: str, policy: BucketPolicy, now_s: float, requests: int) -> Drawn:
        """Take what a request costs beyond one out of the caller's bucket."""
        return self._kept(name, owe(policy, self._full_s.get(name, now_s), now_s, requests))

    def _kept(self, name: str, drawn: Drawn) -> Drawn:
        self._full_s[name] = drawn.full_s
        self._full_s.move_to_end(name)
        if len(self._full_s) > self._room:
            self._full_s.popitem(last=False)
        return drawn

    @contextmanager
    def streaming(self, name: str, most: int) -> Iterator[None]:
        """Count a stream of the caller while the context lasts; raises TooManyStreamsError beyond `most`."""
        if self._streams[name] >= most:
            raise TooManyStreamsError(name)
        self._streams[name] += 1
        try:
            yield
        finally:
            self._streams[name] -= 1
            if not self._streams[name]:
                del self._streams[name]
