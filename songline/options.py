"""Types of command line options that several commands share."""

import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from songline.schemas.decoding import excerpt
from songline.schemas.moments import read_asked_moment
from songline.schemas.texts import encodable

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


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


class PastMoment(click.ParamType):
    """A moment as RFC 3339, UTC where it has no offset: the value is the text, which the API reads by the same rule."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            read_asked_moment(value)
        except ValueError as error:
            self.fail(f"saw {excerpt(encodable(str(value)))!r}, expected {error}.", param, ctx)
        return str(value)


class Age(click.ParamType):
    """A time span: a number and `s`, `m`, `h` or `d`."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([0-9]{1,6})([smhd])", value)
        if match is None:
            self.fail(f"{value!r} is no age: expected a number and s, m, h or d, as in 90s, 30m, 2h or 7d.", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
