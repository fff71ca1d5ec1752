"""Records that break the contract of `music-events`, in many ways, from a seed. Pure."""

import random
from collections.abc import Iterator

from songline.schemas.envelope import decode, encode
from songline.schemas.errors import PoisonError
from songline.schemas.events import SongPlayed
from songline.schemas.examples import EVENTS

_GOOD = encode(EVENTS[SongPlayed])
_WAYS = (
    b"",
    b"\0",
    b"null",
    b"[]",
    b"{}",
    _GOOD[:-1],
    _GOOD + b"}",
    _GOOD.replace(b"song.played.v2", b"song.hummed.v1"),
    _GOOD.replace(b"song.played.v2", b"song.played.v9"),
    _GOOD.replace(b'"userId":"', b'"userId":"../'),
    _GOOD.replace(b'"playedMs":', b'"playedMs":-'),
    b"\xef\xbb\xbf" + _GOOD,
    bytes(range(256)),
)


def bad_bodies(seed: int) -> Iterator[bytes]:
    """Bodies without end, each refused by the contract."""
    chance = random.Random(f"bad {seed}")
    while True:
        body = chance.choice(_WAYS)
        if chance.random() < 0.5:
            at = chance.randrange(len(_GOOD))
            body = _GOOD[:at] + chance.randbytes(chance.randrange(1, 9)) + _GOOD[at + chance.randrange(9) :]
        try:
            decode(body)
        except PoisonError:
            yield body
