"""The rules that all messages and saved records of the stages are held to.

The hubs between the stages are open to anybody who has a key of the namespace, and one message that is decodable and
wrong would stop a stage, or stay in the counts. Every check raises PoisonError, and changes nothing. What a stage sends
and saves is checked by `cells/validation.py` and `shards/validation.py`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from songline.processors.trending.song_index import shard_of
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.errors import PoisonError
from songline.schemas.types import END, ID_PATTERN

MAX_PARTITIONS = 2_048
"""No tier of Event Hubs gives a hub more."""

AHEAD_MS = 2 * HOUR_MS
"""A time may be so much after the wall clock's: an event may be an hour later than the log, and clocks differ."""

MAX_NUMBER = 2**63 - 1
MAX_TEXT = 300

ID = re.compile(ID_PATTERN)
_IDS = re.compile(rf"(?:{ID_PATTERN.removeprefix('^').removesuffix(END)}\n)*{END}", re.MULTILINE)
"""Ids, each with a line's end: one look at a thousand takes a seventh of a thousand looks."""


class StageLimits(Struct, frozen=True):
    """What bounds a message: the numbers of shards and of partitions of `music-events`, and the wall clock."""

    shards: int
    sources: int
    now_ms: int


class BrokenRecord(NamedTuple):
    """A saved record that breaks a rule, and why."""

    key: bytes
    value: bytes
    why: PoisonError


def broken_records(
    records: Iterable[tuple[bytes, bytes]], check: Callable[[bytes, bytes], None]
) -> Iterator[BrokenRecord]:
    """The records for which `check` raises PoisonError."""
    for key, value in records:
        try:
            check(key, value)
        except PoisonError as why:
            yield BrokenRecord(key, value, why)


def saved_key(key: bytes | None, partition: int) -> list[str]:
    """The parts of a changelog's key, which begins with the number of its partition."""
    try:
        parts = (key or b"").decode("ascii").split("/")
    except UnicodeDecodeError:
        parts = []
    if len(parts) < 3 or parts[0] != str(partition):
        raise broken(f"{key!r:.100} is no key of partition {partition}")
    return parts


def check_songs(songs: Collection[str], shard: int | None, limits: StageLimits) -> None:
    """Song ids, all of the shard where one is given."""
    if shard is None:
        check_ids(songs)
        return
    for song in songs:
        check_song(song, shard, limits)


def check_ids(songs: Collection[str]) -> None:
    """Song ids."""
    lines = "\n".join([*songs, ""])
    if lines.count("\n") != len(songs) or _IDS.match(lines) is None:
        for song in songs:
            check_id(song)


def check_song(song: str, shard: int | None, limits: StageLimits) -> None:
    """A song id, of the shard where one is given."""
    check_id(song)
    if shard is not None and shard_of(song, limits.shards) != shard:
        raise broken(f"song {song} is of shard {shard_of(song, limits.shards)}, not of {shard}")


def check_id(song: str) -> None:
    """A song id."""
    if ID.match(song) is None:
        raise broken(f"{song[:80]!r} is no song id")


def check_column(name: str, column: "np.typing.NDArray[np.generic]", least: int, most: int) -> None:
    """All numbers of a column are in a range."""
    if len(column):
        check_number(name, int(column.min()), least, most)
        check_number(name, int(column.max()), least, most)


def check_number(name: str, number: float, least: float, most: float) -> None:
    """The number is in a range."""
    if not least <= number <= most:
        raise broken(f"{name} is {number}, expected {least} to {most}")


def is_number(text: str) -> bool:
    """Whether a part of a key is a number."""
    return text.isdecimal() and len(text) <= 12


def broken(detail: str) -> PoisonError:
    """The error of a message or record that breaks a rule."""
    return PoisonError("broken-contract", detail)
