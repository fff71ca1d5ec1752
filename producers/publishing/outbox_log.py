"""Checks the write-ahead log of an outbox that was not closed, before SQLite reads it.

SQLite takes a frame that is not what was written for the end of the log: one changed bit would take along every event
behind it, in silence. The log's index (`-shm`) knows how many frames there were: it is written after each sync, so it
has what the killed process knew. After a loss of power it may be older, and never newer.

Source: https://sqlite.org/fileformat2.html#the_write_ahead_log and https://sqlite.org/walformat.html.
"""

import sys
from array import array
from pathlib import Path
from struct import Struct
from typing import TypeAlias

CHECKED_BYTES = 64 << 20
"""A longer log is not checked: each MB takes some 25 ms, and SQLite writes it into the file at 4 MB."""
_HEAD = Struct(">4I8s2I")  # magic, version, page size, number of checkpoints, salts, sums
_FRAME = Struct(">2I8s2I")  # page, pages after a commit, salts, sums
_INDEX = Struct("=3I2BH2I2I8s2I")  # version, unused, changes, whether it is whole, byte order, page size, frames, …
_INDEX_VERSION = 3_007_000
_LITTLE, _BIG = 0x377F0682, 0x377F0683

Sums: TypeAlias = tuple[int, int]


def damage_in(database: Path) -> str | None:
    """What of the database's log is not what was synced; None where nothing is, or no index knows.

    Raises OSError.
    """
    log, index = (database.with_name(f"{database.name}-{end}") for end in ("wal", "shm"))
    try:
        known = index.read_bytes()[: 2 * _INDEX.size]
        data = log.read_bytes() if log.stat().st_size <= CHECKED_BYTES else b""
        if index.read_bytes()[: len(known)] != known:
            # Another process has the outbox: it is told apart when the file is opened.
            return None
    except FileNotFoundError:
        return None
    salts, frames = _synced(known)
    if frames == 0 or len(data) < _HEAD.size:
        return None
    magic, _, page_bytes, _, of_log, *stored = _HEAD.unpack_from(data)
    is_swapped = (sys.byteorder == "little") != (magic == _LITTLE)
    sums = _summed(data[:24], (0, 0), is_swapped)
    if magic not in (_LITTLE, _BIG) or sums != tuple(stored):
        return f"the head of {log.name} is not what was written"
    if of_log != salts:
        # The index is of an earlier log.
        return None
    size = _FRAME.size + page_bytes
    for at in range(_HEAD.size, _HEAD.size + frames * size, size):
        if len(data) < at + size:
            return f"{log.name} ends at byte {len(data)}, and had {_HEAD.size + frames * size}"
        _, _, of_frame, *stored = _FRAME.unpack_from(data, at)
        sums = _summed(data[at : at + 8] + data[at + _FRAME.size : at + size], sums, is_swapped)
        if of_frame != salts or sums != tuple(stored):
            return f"byte {at} of {log.name} is not what was written"
    return None


def _synced(index: bytes) -> tuple[bytes, int]:
    """The salts of the log that the index is of, and how many frames of it were synced; none where it is not whole."""
    # Its head is there twice; the second copy is written before the first one.
    for at in range(0, len(index) - _INDEX.size + 1, _INDEX.size):
        version, _, _, is_whole, _, _, frames, _, _, _, salts, *sums = _INDEX.unpack_from(index, at)
        if (version, is_whole) == (_INDEX_VERSION, 1) and _summed(index[at : at + 40], (0, 0), False) == tuple(sums):
            return salts, frames
    return b"", 0


def _summed(content: bytes, sums: Sums, is_swapped: bool) -> Sums:
    words = array("I", content)
    if is_swapped:
        words.byteswap()
    one, other = sums
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + other) & 0xFFFFFFFF
        other = (other + second + one) & 0xFFFFFFFF
    return one, other
