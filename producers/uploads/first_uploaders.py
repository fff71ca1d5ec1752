"""Who was first to upload a song of late, while no document says it yet."""

import asyncio
from collections import OrderedDict

from songline.producers.publishing.state import Outcome

CAPACITY = 100_000


class FirstUploaders:
    """The last `capacity` songs whose first `uploaded` came in here.

    The hub tells two uploads of one second apart by their partitions only, and the catalog knows a song a moment after
    the hub does. Until then the process that took the first one says whose the song is. An event that was not accepted
    in the end is forgotten.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._users: OrderedDict[str, str] = OrderedDict()

    def of(self, song_id: str) -> str | None:
        """The user, None where no upload of the song came in here."""
        return self._users.get(song_id)

    def remember(self, song_id: str, user_id: str, done: asyncio.Future[Outcome]) -> None:
        """The user's `uploaded` is being accepted, and is with `done`. Somebody who was earlier stays first."""
        if song_id in self._users:
            return
        self._users[song_id] = user_id
        done.add_done_callback(lambda done: self._forget_if_failed(song_id, done))
        if len(self._users) > self._capacity:
            self._users.popitem(last=False)

    def _forget_if_failed(self, song_id: str, done: asyncio.Future[Outcome]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._users.pop(song_id, None)
