"""Read your writes: waits until a view has applied the position that the caller requires."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

from fastapi import Query

from songline.projections.http.numbers import IS_DECIMAL

T = TypeVar("T")

POSITION_RULE = "PARTITION:SEQUENCE, several with commas between, as publishing answers them: 2:1203,3:88"
LONGEST = 30.0
WAIT = 5.0
PAUSE = 0.1
RETRY_SECONDS = 1

MinPosition = Annotated[
    str | None,
    Query(
        max_length=2000,
        description=f"Wait until this position is applied: {POSITION_RULE}. Without it, answer at once",
        examples=["2:1203"],
    ),
]
Wait = Annotated[float, Query(ge=0, le=LONGEST, description="The seconds to wait for `min_position`"), IS_DECIMAL]

_PAIR = re.compile(r"([0-9]{1,4}):([0-9]{1,18})", re.ASCII)


class PositionError(ValueError):
    """A text that is no position. The caller uses the one that publishing answered; POSITION_RULE has its form."""


class BehindError(Exception):
    """The view has not applied the required position yet. The caller may ask again a moment later."""

    def __init__(self, view: str, wanted: Mapping[str, int], position: Mapping[str, int], waited: float) -> None:
        missing = [
            f"partition {partition} is at {position.get(partition, 'no position')}, wanted {least}"
            for partition, least in wanted.items()
            if position.get(partition, -1) < least
        ]
        super().__init__(f"{view}: {'; '.join(missing)} (waited {waited:g} s)")


def parse(text: str | None) -> dict[str, int]:
    """The positions in a text such as `2:1203,3:88`, by partition; empty for None. Raises PositionError."""
    wanted: dict[str, int] = {}
    for pair in [] if text is None else text.split(","):
        match = _PAIR.fullmatch(pair.strip())
        if match is None:
            raise PositionError(text)
        partition = str(int(match[1]))
        wanted[partition] = max(int(match[2]), wanted.get(partition, -1))
    return wanted


async def reaching(
    view: str,
    read: Callable[[], Awaitable[T]],
    position: Callable[[T], Mapping[str, int]],
    wanted: Mapping[str, int],
    wait: float,
) -> T:
    """The result of `read` as soon as its position covers `wanted`.

    Polls for `wait` seconds, then raises BehindError. `view` names the view in its message.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while True:
        found = await read()
        applied = position(found)
        if all(applied.get(partition, -1) >= least for partition, least in wanted.items()):
            return found
        if loop.time() + PAUSE > deadline:
            raise BehindError(view, wanted, applied, wait)
        await asyncio.sleep(PAUSE)
