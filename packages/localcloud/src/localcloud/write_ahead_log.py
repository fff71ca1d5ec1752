"""Checks the write-ahead log of a SQLite database that was not closed, before SQLite reads it.

SQLite takes a frame that is not what was written for the end of the log: a changed bit would take along every
transaction behind it, in silence. But what a crash has left unfinished is one transaction at most, since each is synced
before the next one begins. So where frames of finished transactions follow one that is wrong, it is damage.

Source: https://sqlite.org/fileformat2.html#the_write_ahead_log and https://sqlite.org/walformat.html.
"""

import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import NamedTuple, TypeAlias

CHECKED_BYTES = 64 << 20
"""A longer log is not checked: each MB takes some 25 ms."""
_HEAD = Struct(">8I")  # magic, version, page size, number of checkpoints, two salts, two sums
_FRAME = Struct(">6I")  # page, pages after a commit, two salts, two sums
_SUMMED = 8
"""So many bytes of a frame's head are in its sum, and 24 of the file's."""
_LITTLE, _BIG = 0x377F0682, 0x377F0683

Sums: TypeAlias = tuple[int, int]


class _Frame(NamedTuple):
    at: int
    is_commit: bool
    is_of_log: bool
    """Whether it has the salts of the log: others are left of an earlier one."""
    stored: Sums
    content: bytes


def damage_in(log: Path) -> str | None:
    """What is wrong in the log, and where; None where nothing is, or what is wrong may be what a crash left unfinished.
    Raises OSError."""
    data = log.read_bytes() if log.stat().st_size <= CHECKED_BYTES else b""
    if len(data) <= _HEAD.size:
        return None
    magic, _, page_bytes, _, *numbers = _HEAD.unpack_from(data)
    is_swapped = (sys.byteorder == "little") != (magic == _LITTLE)
    sums = _summed(data[:24], (0, 0), is_swapped)
    if magic not in (_LITTLE, _BIG) or sums != tuple(numbers[2:]):
        # It is synced before the first frame is written.
        return "its head is not what was written"
    frames = list(_frames(data, page_bytes, tuple(numbers[:2])))
    for number, frame in enumerate(frames):
        found = _summed(frame.content, sums, is_swapped)
        if not frame.is_of_log or found != frame.stored:
            behind = max(_commits(frames[number + 1 :], seed, is_swapped) for seed in (found, frame.stored))
            # A frame that ends a transaction was synced with it, before the next one began.
            is_synced = behind > 1 or (behind == 1 and frame.is_commit and frame.is_of_log)
            return f"byte {frame.at} is not what was written" if is_synced else None
        sums = found
    return None


def _frames(data: bytes, page_bytes: int, salts: tuple[int, ...]) -> Iterator[_Frame]:
    size = _FRAME.size + page_bytes
    for at in range(_HEAD.size, len(data) - size + 1, size):
        _, pages, *numbers = _FRAME.unpack_from(data, at)
        content = data[at : at + _SUMMED] + data[at + _FRAME.size : at + size]
        stored = numbers[2], numbers[3]
        yield _Frame(at, pages != 0, tuple(numbers[:2]) == salts, stored, content)


def _commits(frames: list[_Frame], sums: Sums, is_swapped: bool) -> int:
    """How many transactions end in the frames that follow on `sums` without a gap; two say enough."""
    found = 0
    for frame in frames:
        sums = _summed(frame.content, sums, is_swapped)
        if not frame.is_of_log or sums != frame.stored:
            break
        found += frame.is_commit
        if found == 2:
            break
    return found


def _summed(content: bytes, sums: Sums, is_swapped: bool) -> Sums:
    words = array("I", content)
    if is_swapped:
        words.byteswap()
    one, other = sums
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + other) & 0xFFFFFFFF
        other = (other + second + one) & 0xFFFFFFFF
    return one, other
