"""The names that stand for a listener who was forgotten, in what is kept without them.

An event of a forgotten listener stays in the archive under a name that nothing leads back from. It is a fresh random
name for each UTC hour of event time, since a chart counts a listener's action once an hour: the same charts come of
the renamed events, and what the listener did in one hour can't be joined with what they did in another. What they said
of a song of theirs has a name of that song instead, so that the song's owner stays one and the same.

Only erasure makes such names. No door takes an event of one from outside; libraries and exports skip them.
"""

import re
from hashlib import blake2b

from songline.schemas.types import END

PREFIX = "forgotten:"
FORGOTTEN_PATTERN = rf"^{PREFIX}[0-9a-f]{{32}}{END}"
OUTSIDE_RULE = f"no name of the form {PREFIX} and 32 hexadecimal digits, which stands for a listener who was forgotten"

KEY_BYTES = 32
"""The size of the key of an erasure, which is random, and deleted when nothing is renamed any more."""

HOUR_S = 3_600

_FORGOTTEN = re.compile(FORGOTTEN_PATTERN)
_NAME_BYTES = 16


def is_forgotten(user_id: str) -> bool:
    """Whether the id stands for a listener who was forgotten."""
    return user_id.startswith(PREFIX) and _FORGOTTEN.search(user_id) is not None


class ForgottenNames:
    """The names of one listener in one erasure: a keyed hash of what each stands for, random without the key.

    So a crash loses no name, and nothing need be stored for each of the hours of many years.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of an erasure has {len(key)} bytes, expected {KEY_BYTES}")
        self._key = key

    def of_hour(self, second: int) -> str:
        """The name for the UTC hour of `second`, of event time, since 1970."""
        return self._name("hour", str(second // HOUR_S))

    def of_song(self, song_id: str) -> str:
        """The name for the uploads and removals of a song."""
        return self._name("song", song_id)

    def of_event(self, event_id: str) -> str:
        """The id that an event has instead of `event_id`: copies of an event stay copies."""
        return self._digits("event", event_id)

    def _name(self, kind: str, what: str) -> str:
        return PREFIX + self._digits(kind, what)

    def _digits(self, kind: str, what: str) -> str:
        # The kind as a person: one key, and no name of one kind is ever one of another.
        digest = blake2b(what.encode(), key=self._key, person=kind.encode(), digest_size=_NAME_BYTES)
        return digest.hexdigest()
