"""Moments that callers name: RFC 3339, in UTC where they say no offset, cut to microseconds."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

RULE = "a moment that has a form in UTC, in the years 1 to 9999"


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; raises ValueError for one whose offset takes it out of the years 1 to 9999."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(RULE) from None


Moment = Annotated[datetime, AfterValidator(in_utc)]
"""A moment in a query; its parameter is aware and in UTC."""
