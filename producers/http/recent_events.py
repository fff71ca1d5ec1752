"""The events of late, so that one which is sent again is known."""

import asyncio
from collections import OrderedDict
from functools import partial
from hashlib import blake2b

from songline.producers.publishing.state import Outcome
from songline.schemas.acceptance import refuse
from songline.schemas.envelope import Event

CAPACITY = 100_000


class RecentEvents:
    """The last `capacity` events that were accepted or are being accepted, by caller, source and id.

    Source: CloudEvents 1.0, "id": source and id together are unique for each distinct event. Anybody can write any
    source, so that what one caller has sent says nothing of another's: who knows an id in advance can't have it taken.
    An event that was not accepted in the end is forgotten.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # A tuple of what has no references costs the garbage collector nothing: there may be 100,000 of them.
        self._seen: OrderedDict[bytes, tuple[int, asyncio.Future[Outcome] | Outcome]] = OrderedDict()

    def find(self, event: Event, caller: str) -> asyncio.Future[Outcome] | Outcome | None:
        """What became of it, or will, None where it is new.

        Raises ContractViolationError where its id is that of another event.
        """
        seen = self._seen.get(_key(event, caller))
        if seen is None:
            return None
        content, outcome = seen
        if content != _content(event):
            raise refuse("id", event.id, "an id of its own: this source has used it for another event")
        return outcome

    def remember(self, event: Event, caller: str, done: asyncio.Future[Outcome]) -> None:
        """It is being accepted of `caller`, the subject of a token, and is with `done`."""
        key = _key(event, caller)
        self._seen[key] = (_content(event), done)
        done.add_done_callback(partial(self._settle, key))
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)

    def _settle(self, key: bytes, done: asyncio.Future[Outcome]) -> None:
        content, outcome = self._seen.get(key, (0, None))
        if outcome is not done:
            return
        if done.cancelled() or done.exception() is not None:
            del self._seen[key]
        else:
            self._seen[key] = (content, done.result())


def _key(event: Event, caller: str) -> bytes:
    # An id and a listener's id have no NUL in them.
    return blake2b(f"{caller}\0{event.id}\0{event.source}".encode(), digest_size=16).digest()


def _content(event: Event) -> int:
    """What a repetition shares with the first. Not the time: a gateway that repeats a request stamps it anew."""
    return hash((type(event.data), event.data))
