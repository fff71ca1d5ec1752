"""What comes of rewriting a file, or why it can't be done."""

from msgspec import Struct


class CaptureFileError(Exception):
    """A file can't be rewritten: it is no Avro file, cut, or packed by a codec that is not known here."""


class ForgottenUpTo(Struct, frozen=True):
    """Up to where a listener is forgotten in a partition: the sequence number `position`, of the hub that was created
    at the Unix second `created_s`. What they did after it is of a listener who began anew."""

    position: int
    created_s: int


class RewriteCounts(Struct, frozen=True):
    """How many events a file has, and how many of them were the listener's."""

    events: int
    renamed: int
