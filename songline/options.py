"""Types of command line options that several commands share."""

import math
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from songline.schemas.decoding import excerpt
from songline.schemas.durations import checked_age, read_duration
from songline.schemas.moments import read_asked_moment
from songline.schemas.texts import encodable

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class FiniteRange(click.FloatRange):
    """A range of finite numbers. `nan`, which click finds in every range, and `inf` are refused."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return super().convert(value, param, ctx)


class DataFolder(click.Path):
    """The name of a folder. An empty name is refused: pathlib takes it for the current folder."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name of a folder is empty; `.` names the current one.", param, ctx)
        return super().convert(value, param, ctx)


class AskedMoment(click.ParamType):
    """A moment as RFC 3339, UTC where it has no offset. With `takes_day` also a day: its first moment in UTC."""

    name = "time"

    def __init__(self, *, takes_day: bool = False) -> None:
        self._takes_day = takes_day

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        is_day = self._takes_day and _DAY.fullmatch(value) is not None
        try:
            return read_asked_moment(f"{value}T00:00" if is_day else value)
        except ValueError as error:
            or_day = ", or a day as 2026-11-22" if self._takes_day else ""
            self.fail(f"saw {excerpt(encodable(str(value)))!r}, expected {error}{or_day}.", param, ctx)


class PastMoment(AskedMoment):
    """As AskedMoment; the value is the text, which the API reads by the same rule."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        super().convert(value, param, ctx)
        return str(value)


class MaxStaleness(click.ParamType):
    """How old an answer may be: the value is the text, which the API reads by the same rule."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return checked_age(value)
        except ValueError as error:
            self.fail(f"saw {excerpt(encodable(str(value)))!r}, expected {error}.", param, ctx)


class Age(click.ParamType):
    """A time span: a number and `s`, `m`, `h` or `d`; `longest` at most, None for any."""

    name = "age"

    def __init__(self, longest: timedelta | None = None) -> None:
        self._longest = longest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            found = read_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} is no age: expected {error}.", param, ctx)
        if self._longest is not None and found > self._longest:
            self.fail(f"saw {value}, expected {self._longest.days}d at most.", param, ctx)
        return found
