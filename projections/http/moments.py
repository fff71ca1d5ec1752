"""Moments in queries: RFC 3339 as in events, in UTC without an offset, cut to microseconds."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator

from songline.schemas.moments import read_asked_moment

Moment = Annotated[datetime, BeforeValidator(read_asked_moment)]
"""A moment in a query; its parameter is aware and in UTC."""
