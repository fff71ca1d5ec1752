"""Reading moments that others wrote: one rule for the API and for every reader.

RFC 3339 sets no limit to the digits of a second; .NET writes seven. What is finer than a microsecond is cut off, as the
standard library does. msgspec 0.22 rounds it, which moves `23:59:59.9999995` into the next day and refuses .NET's
largest moment, `9999-12-31T23:59:59.9999999Z`.
"""

import re
from datetime import UTC, datetime, timedelta

import msgspec

from songline.schemas.errors import PoisonError
from songline.schemas.rules import MOMENT_RULE
from songline.schemas.types import Moment

_parse = msgspec.json.Decoder(Moment).decode
_FINER = re.compile(r"(\.[0-9]{6})[0-9]+")
_FINER_BYTES = re.compile(rb"\.[0-9]{7}")
_SHORTEST_FINER = len("2026-11-22T14:00:00.1234567Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def read_moment(text: str, reason: str = "not-an-event") -> datetime:
    """The moment in `text` in UTC.

    Raises PoisonError with `reason`, or `broken-contract` for a moment without a form in UTC.
    """
    if len(text) >= _SHORTEST_FINER:
        text = _FINER.sub(r"\1", text, count=1)
    try:
        # As JSON, since that costs a quarter of msgspec.convert; an escape would be read twice.
        moment = _parse("" if "\\" in text else f'"{text}"')
    except (msgspec.MsgspecError, ValueError):
        raise PoisonError(reason, f"time: expected {MOMENT_RULE}") from None
    return moment if moment.tzinfo is UTC else in_utc(moment)


_ASKED = re.compile(r"([0-9-]{10}[Tt ][0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?")
NO_UTC_RULE = "a moment that has a form in UTC, in the years 1 to 9999"


def read_asked_moment(text: object) -> datetime:
    """The moment in the `text` of a parameter or an option, in UTC, which it is where it has no offset; without
    seconds, the first of the minute. Raises ValueError with the rule that it breaks."""
    given = str(text)
    if asked := _ASKED.fullmatch(given):
        given = f"{asked[1]}{asked[2] or ':00'}{asked[3] or 'Z'}"
    try:
        return read_moment(given)
    except PoisonError as poison:
        raise ValueError(NO_UTC_RULE if poison.reason == "broken-contract" else MOMENT_RULE) from None


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; raises PoisonError for one whose offset takes it out of the years 1 to 9999."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PoisonError("broken-contract", f"time {moment.isoformat()} has no form in UTC") from None


def may_be_rounded(moment: datetime, body: bytes) -> bool:
    """Whether `moment`, as msgspec read it from the JSON in `body`, may be in another minute than the contract has it
    in: rounded up to a whole one. An escape may hide how it is written."""
    return not moment.second and not moment.microsecond and (b"\\" in body or _FINER_BYTES.search(body) is not None)


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds of an aware moment, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def moment_at(ms: int) -> datetime:
    """The moment in UTC of Unix milliseconds."""
    return datetime.fromtimestamp(ms // 1_000, UTC).replace(microsecond=ms % 1_000 * 1_000)


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two moments that may be unknown; None where both are."""
    return max((moment for moment in (one, other) if moment is not None), default=None)
