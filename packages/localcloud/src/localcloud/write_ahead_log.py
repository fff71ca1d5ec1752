"""Checks the write-ahead log of a SQLite database that was not closed, before SQLite reads it.

SQLite takes a frame that is not what was written for the end of the log: a changed bit would take along every
transaction behind it, in silence. Two things say what was there:

- The log's index (`-shm`) has the number of frames, and is written after each sync. Where a process was killed it is
  what that process knew. Where the power went it may be older, and never newer.
- What a crash has left unfinished is one transaction at most, since each is synced before the next one begins. So where
  frames of finished transactions follow one that is wrong, it is damage.

Both hold for `synchronous=FULL`. Source: https://sqlite.org/fileformat2.html#the_write_ahead_log and
https://sqlite.org/walformat.html.
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
_INDEX = Struct("=3I2BH2I2I8s2I")  # version, unused, changes, whether it is whole, byte order, page size, frames, …
_INDEX_VERSION = 3_007_000
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

    The log's index is beside it, or nothing is known of it. Raises OSError.
    """
    data = log.read_bytes() if log.stat().st_size <= CHECKED_BYTES else b""
    if len(data) <= _HEAD.size:
        return None
    magic, _, page_bytes, _, *numbers = _HEAD.unpack_from(data)
    is_swapped = (sys.byteorder == "little") != (magic == _LITTLE)
    sums = _summed(data[:24], (0, 0), is_swapped)
    if magic not in (_LITTLE, _BIG) or sums != tuple(numbers[2:]):
        # It is synced before the first frame is written.
        return "its head is not what was written"
    synced = _synced_frames(log.with_name(f"{log.name.removesuffix('-wal')}-shm"), data[16:24])
    frames = list(_frames(data, page_bytes, tuple(numbers[:2])))
    if len(frames) < synced:
        return f"it has {len(frames)} frames, and had {synced}"
    for number, frame in enumerate(frames):
        found = _summed(frame.content, sums, is_swapped)
        if not frame.is_of_log or found != frame.stored:
            behind = max(_commits(frames[number + 1 :], seed, is_swapped) for seed in (found, frame.stored))
            # A frame that ends a transaction was synced with it, before the next one began.
            is_synced = number < synced or behind > 1 or (behind == 1 and frame.is_commit and frame.is_of_log)
            return f"byte {frame.at} is not what was written" if is_synced else None
        sums = found
    return None


def _synced_frames(index: Path, salts: bytes) -> int:
    """How many frames of the log with these salts were synced, as far as its index knows."""
    try:
        with index.open("rb") as file:
            # The second copy is written before the first one.
            copies = [file.read(_INDEX.size) for _ in range(2)]
    except FileNotFoundError:
        return 0
    for copy in copies:
        if len(copy) == _INDEX.size:
            version, _, _, is_whole, _, _, frames, _, _, _, of_log, *sums = _INDEX.unpack(copy)
            if (version, is_whole) == (_INDEX_VERSION, 1) and _summed(copy[:40], (0, 0), False) == tuple(sums):
                return int(frames) if of_log == salts else 0
    return 0


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
