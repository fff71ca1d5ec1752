"""The first uploaders of recent songs, for the time until the catalog has them."""

import asyncio
from collections import OrderedDict

from songline.producers.publishing.state import Outcome

CAPACITY = 100_000


class FirstUploaders:
    """The users of the last `capacity` songs whose first `uploaded` this process took.

    Two uploads in the same second differ in the hub by their partitions only, and the catalog knows a song a moment
    after the hub. Until then, the process that took the first event decides the owner. An event that is not accepted in
    the end is forgotten.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._users: OrderedDict[str, str] = OrderedDict()

    def of(self, song_id: str) -> str | None:
        """The user who first uploaded the song here; None if no upload of it came in here."""
        return self._users.get(song_id)

    def remember(self, song_id: str, user_id: str, done: asyncio.Future[Outcome]) -> None:
        """Record the user of an `uploaded` event, unless the song has one. `done` is its acceptance."""
        if song_id in self._users:
            return
        self._users[song_id] = user_id
        done.add_done_callback(lambda done: self._forget_if_failed(song_id, done))
        if len(self._users) > self._capacity:
            self._users.popitem(last=False)

    def _forget_if_failed(self, song_id: str, done: asyncio.Future[Outcome]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._users.pop(song_id, None)
