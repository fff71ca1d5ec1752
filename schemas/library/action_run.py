"""Runs: many actions as one compact text, which a document holds.

A run holds columns, since neighbours in a column are alike and compress well: about 24 letters an action of 600, 30 of
20. Text: base64 of one byte, the format's version, and a zlib stream (its checksum finds what was damaged) of a
MessagePack array: the number of actions; the listeners; how many actions each has; the songs; then columns, and the
rare values by row. A column of numbers is the least one, a step, a width in bytes, and how many steps each is above the
least: first the lowest bytes of all, then their second ones, and so on.
"""

import zlib
from array import array
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, repeat
from math import gcd

import msgspec
from isal import isal_zlib
from msgspec import Struct

from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.errors import PoisonError
from songline.schemas.library.action import KINDS, UserAction

VERSION = 1
_LEVEL = 1

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}

Column = tuple[int, int, int, bytes]

# As UserAction._make does it, without a call of Python's for each row.
_to_action: Callable[[tuple[object, ...]], UserAction] = partial(tuple.__new__, UserAction)


class RunFormatError(ValueError):
    """A text is no run that this version reads: it is damaged, or of a newer version."""


class _Columns(Struct, frozen=True, array_like=True):
    """`resubmitted` has the rows that are so; `carried` a row's `plays` and `first_us`, where these are no defaults."""

    count: int
    users: list[str]
    user_counts: list[int]
    songs: list[str]
    song: Column
    at_us: Column
    mark: Column
    kind: Column
    partition: Column
    position: Column
    ms_played: Column
    resubmitted: list[int]
    carried: dict[int, tuple[int, int]]
    import_mark: Column = (0, 1, 0, b"")


_columns = MsgpackDecoder(_Columns)


def encode_run(actions: Sequence[UserAction]) -> str:
    """The run of `actions`, which are sorted and each there once, as `merge_actions` gives them."""
    if not actions:
        none = _column(())
        return _text(_Columns(0, [], [], [], none, none, none, none, none, none, none, [], {}))
    users, songs, at_us, marks, kinds, partitions, positions, ms_played, resubmitted, plays, firsts, imports = zip(
        *actions, strict=True
    )
    counts = Counter(users)
    names = sorted(set(songs))
    numbers = {song: number for number, song in enumerate(names)}
    carried = {}
    if plays.count(1) != len(plays) or any(firsts):
        carried = {
            row: (count, first)
            for row, (count, first) in enumerate(zip(plays, firsts, strict=True))
            if count != 1 or first
        }
    return _text(
        _Columns(
            count=len(actions),
            users=list(counts),
            user_counts=list(counts.values()),
            songs=names,
            song=_column(list(map(numbers.__getitem__, songs))),
            at_us=_column(at_us),
            mark=_column(marks),
            kind=_column(list(map(_KIND_NUMBERS.__getitem__, kinds))),
            partition=_column(partitions),
            position=_column(positions),
            ms_played=_column(ms_played),
            resubmitted=[row for row, again in enumerate(resubmitted) if again] if any(resubmitted) else [],
            carried=carried,
            import_mark=_column(imports) if any(imports) else _column(()),
        )
    )


def decode_run(text: str) -> list[UserAction]:
    """The actions in a run, in order. Raises RunFormatError."""
    columns = _decode(text)
    try:
        return _rows(columns)
    except (LookupError, ValueError, OverflowError) as error:
        raise RunFormatError(f"a run of {columns.count} actions does not add up: {error}") from error


def count_actions(text: str) -> int:
    """How many actions a run holds. Raises RunFormatError."""
    return _decode(text).count


def _text(columns: _Columns) -> str:
    packed = isal_zlib.compress(msgspec.msgpack.encode(columns), _LEVEL)
    return b64encode(bytes((VERSION,)) + packed).decode("ascii")


def _decode(text: str) -> _Columns:
    try:
        data = b64decode(text, validate=True)
    except ValueError as error:
        raise RunFormatError(f"a run is no base64: {error}") from None
    if not data or data[0] != VERSION:
        seen = data[0] if data else "none"
        raise RunFormatError(
            f"a run has the format version {seen}, and this program reads version {VERSION}: "
            "use the program that wrote it, or a newer one"
        )
    try:
        return _columns.decode(zlib.decompress(data[1:]))
    except (zlib.error, PoisonError) as error:
        raise RunFormatError(f"a run of {len(text)} letters is damaged: {error}") from None


def _rows(columns: _Columns) -> list[UserAction]:
    count = columns.count
    resubmitted, plays, firsts = [False] * count, [1] * count, [0] * count
    for row in columns.resubmitted:
        resubmitted[row] = True
    for row, (some, first_us) in columns.carried.items():
        plays[row], firsts[row] = some, first_us
    rows = zip(
        chain.from_iterable(map(repeat, columns.users, columns.user_counts)),
        map(columns.songs.__getitem__, _numbers(columns.song, count)),
        _numbers(columns.at_us, count),
        _numbers(columns.mark, count),
        map(KINDS.__getitem__, _numbers(columns.kind, count)),
        _numbers(columns.partition, count),
        _numbers(columns.position, count),
        _numbers(columns.ms_played, count),
        resubmitted,
        plays,
        firsts,
        _numbers(columns.import_mark, count),
        strict=True,
    )
    return list(map(_to_action, rows))


def _column(numbers: Sequence[int]) -> Column:
    if not numbers:
        return 0, 1, 0, b""
    if numbers.count(numbers[0]) == len(numbers):
        return numbers[0], 1, 0, b""
    least, most = min(numbers), max(numbers)
    offsets = [number - least for number in numbers] if least else numbers
    # Moments and lengths are often whole milliseconds or seconds.
    step = gcd(*offsets)
    if step > 1:
        offsets = [offset // step for offset in offsets]
    span = (most - least) // step
    width = 1 if span < 1 << 8 else 2 if span < 1 << 16 else 4 if span < 1 << 32 else 8
    data = array(_CODES[width], offsets).tobytes()
    return least, step, width, data if width == 1 else b"".join(data[place::width] for place in range(width))


def _numbers(column: Column, count: int) -> Sequence[int]:
    least, step, width, planes = column
    if width == 0:
        return [least] * count
    if len(planes) != count * width:
        raise ValueError(f"a column has {len(planes)} bytes for numbers of {width}")
    if width > 1:
        data = bytearray(len(planes))
        for place in range(width):
            data[place::width] = planes[place * count : (place + 1) * count]
        planes = bytes(data)
    numbers = array(_CODES[width], planes)
    if step == 1:
        return [least + number for number in numbers] if least else numbers.tolist()
    return [least + number * step for number in numbers]
