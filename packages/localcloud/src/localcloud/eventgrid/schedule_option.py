"""The schedule of retries as an option of the command line."""

import math
from typing import Any

import click


class RetrySchedule(click.ParamType):
    """Seconds, with commas between: `0.1,0.2,1`."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            pauses = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            pauses = ()
        if not pauses or not all(math.isfinite(pause) and pause > 0 for pause in pauses):
            self.fail(f"saw {value!r}, expected seconds above 0 with commas between, such as 0.1,1,10", param, ctx)
        return pauses
