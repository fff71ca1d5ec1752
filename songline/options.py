"""Types of options that several commands share."""

import math
from pathlib import Path
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of numbers that have an end: neither `nan`, which is in every range, nor `inf`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number that can be counted with.", param, ctx)
        return super().convert(value, param, ctx)


class DataFolder(click.Path):
    """A folder by its name. An empty name is none: it would be the current folder, which nobody meant."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name of a folder is empty; `.` names the current one.", param, ctx)
        return super().convert(value, param, ctx)
