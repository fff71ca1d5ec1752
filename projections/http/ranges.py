"""Which bytes are asked for. Source: RFC 9110 sections 13.1.5 (If-Range) and 14 (ranges)."""

import re

from msgspec import Struct

# More digits than a file could ever need are still a number; a header of thousands is passed over.
_ONE = re.compile(r"bytes\s*=\s*(\d{0,1000})\s*-\s*(\d{0,1000})\s*", re.ASCII | re.IGNORECASE)


class ByteRange(Struct, frozen=True):
    """Bytes from `first` up to and with `last`."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class UnsatisfiableRangeError(Exception):
    """What is asked for lies behind the end. The caller asks for less; 416 tells how much there is."""


def wanted(header: str | None, if_range: str | None, tag: str, size: int) -> ByteRange | None:
    """The range to send of `size` bytes with the strong entity tag `tag`; None for all of them.

    Several ranges, other units and what is malformed are passed over, as a server may: all is sent. Raises
    Unsatisfiable.
    """
    if header is None or (if_range is not None and if_range.strip() != tag):
        return None
    match = _ONE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRangeError
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1)


def _suffix(length: int, size: int) -> ByteRange:
    if length == 0 or size == 0:
        raise UnsatisfiableRangeError
    return ByteRange(max(0, size - length), size - 1)
