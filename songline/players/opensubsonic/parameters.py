"""The parameters of a request: of its query and of its form, which say the same things."""

import re
from collections.abc import Mapping
from typing import Self
from urllib.parse import parse_qsl

from msgspec import Struct

from songline.players.opensubsonic.answer import AnswerFormat
from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError

MAX_FIELDS = 5_000
"""So many parameters a request may have. A client that was offline reports many plays at once."""
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_SHOWN = 60


class Parameters(Struct, frozen=True):
    """The values by name, in their order. What is not asked for is passed over, as the protocol's servers do."""

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, query: bytes, form: bytes = b"") -> Self:
        """Raises OpenSubsonicError."""
        found: dict[str, list[str]] = {}
        for part in (query, form):
            try:
                pairs = parse_qsl(
                    part.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
                )
            except UnicodeDecodeError:
                raise _unreadable("saw other text, expected UTF-8, percent-encoded") from None
            except ValueError:
                raise _unreadable(f"saw more than {MAX_FIELDS}, expected so many at most") from None
            for name, value in pairs:
                found.setdefault(name, []).append(value)
        return cls({name: tuple(values) for name, values in found.items()})

    def text(self, name: str) -> str | None:
        """The first value of this name; None where there is none."""
        return self.values.get(name, (None,))[0]

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of this name that say something."""
        return tuple(value for value in self.values.get(name, ()) if value)

    def required(self, name: str) -> str:
        """Raises OpenSubsonicError where there is none."""
        value = self.text(name)
        if not value:
            raise missing(name)
        return value

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 0 to `most`; more counts as so many. Raises OpenSubsonicError."""
        value = self.text(name)
        if not value:
            return default
        return min(whole(name, value), most)

    def flag(self, name: str, *, default: bool) -> bool:
        """Raises OpenSubsonicError."""
        value = self.text(name)
        match (value or "").strip().lower():
            case "":
                return default
            case "true" | "1":
                return True
            case "false" | "0":
                return False
            case _:
                raise _wrong(name, value or "", "true or false")

    @property
    def form(self) -> AnswerFormat:
        """How the answer is to be written: XML where nothing is asked for. Raises OpenSubsonicError."""
        value = self.text("f")
        try:
            return AnswerFormat((value or "xml").lower())
        except ValueError:
            raise _wrong("f", value or "", "xml or json") from None


def whole(name: str, value: str) -> int:
    """A whole number that is not negative. Raises OpenSubsonicError."""
    if not _WHOLE.fullmatch(value.strip()) or (number := int(value)) < 0:
        raise _wrong(name, value, "a whole number from 0 on")
    return number


def missing(name: str) -> OpenSubsonicError:
    """The error for a parameter that has to be there."""
    return OpenSubsonicError(
        ErrorCode.PARAMETER_MISSING, f"Required parameter is missing: saw no {name}, expected one."
    )


def _wrong(name: str, value: str, rule: str) -> OpenSubsonicError:
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return OpenSubsonicError(ErrorCode.GENERIC, f"{name}: saw {shown!r}, expected {rule}.")


def _unreadable(seen: str) -> OpenSubsonicError:
    return OpenSubsonicError(ErrorCode.GENERIC, f"Parameters: {seen}.")
