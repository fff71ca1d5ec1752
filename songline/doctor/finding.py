"""A line of the doctor's."""

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True, omit_defaults=True):
    """One line: what was looked at, how it is, what was seen, and what to do about it (empty when it is well)."""

    check: str
    status: Literal["ok", "warn", "fail"]
    seen: str
    mend: str = ""
