"""What comes of rewriting a file, or why it can't be done."""

from msgspec import Struct


class CaptureFileError(Exception):
    """A file can't be rewritten: it is no Avro file, cut, or packed by a codec that is not known here."""


class RewriteCounts(Struct, frozen=True):
    """How many events a file has, and how many of them were the listener's."""

    events: int
    renamed: int
