"""A finding of the doctor."""

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True, omit_defaults=True):
    """The result of one check: its name, its status, what was seen, and how to mend it (empty if it is well)."""

    check: str
    status: Literal["ok", "warn", "fail"]
    seen: str
    mend: str = ""
