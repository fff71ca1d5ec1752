"""Byte ranges of a request. Source: RFC 9110 sections 13.1.5 (If-Range) and 14 (ranges)."""

import re

from msgspec import Struct

# More digits than any file size has are still a number. A header with thousands of digits is ignored.
_ONE = re.compile(r"bytes\s*=\s*(\d{0,1000})\s*-\s*(\d{0,1000})\s*", re.ASCII | re.IGNORECASE)


class ByteRange(Struct, frozen=True):
    """The bytes from `first` to `last`, both inclusive."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.last - self.first + 1


class UnsatisfiableRangeError(Exception):
    """The range begins after the end. The caller asks for another range; the 416 answer has the size."""


def wanted(header: str | None, if_range: str | None, tag: str, size: int) -> ByteRange | None:
    """The range to send of `size` bytes with the strong entity tag `tag`; None for the whole file.

    Several ranges, other units and malformed headers are ignored, as RFC 9110 allows. Raises UnsatisfiableRangeError.
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
