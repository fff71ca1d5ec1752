"""The keys of the marks in the changelog which say that an hour is sealed."""

import re

from songline.processors.trending.cells.source_partition import hour_prefix
from songline.processors.trending.cells.validation import SEALED

_MARK_KEY = re.compile(rb"[0-9]{1,5}/[0-9]{1,12}/" + SEALED.encode() + rb"/0")


def mark_key(number: int, hour: int) -> str:
    """The key of the mark that the hour is sealed."""
    return f"{hour_prefix(number, hour)}{SEALED}/0"


def is_mark(key: bytes) -> bool:
    """Whether this is the key of a mark."""
    return _MARK_KEY.fullmatch(key) is not None
