"""Moments in queries: RFC 3339 as in events, in UTC without an offset, cut to microseconds."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator

from songline.schemas.errors import PoisonError
from songline.schemas.moments import read_moment
from songline.schemas.rules import MOMENT_RULE

RULE = "a moment that has a form in UTC, in the years 1 to 9999"

_WITHOUT_OFFSET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?")


def read(text: object) -> datetime:
    """The moment in `text`, in UTC; raises ValueError with the rule that it breaks."""
    given = str(text)
    try:
        return read_moment(f"{given}Z" if _WITHOUT_OFFSET.fullmatch(given) else given)
    except PoisonError as poison:
        raise ValueError(RULE if poison.reason == "broken-contract" else MOMENT_RULE) from None


Moment = Annotated[datetime, BeforeValidator(read)]
"""A moment in a query; its parameter is aware and in UTC."""
