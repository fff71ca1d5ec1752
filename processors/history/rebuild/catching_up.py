"""The switch behind a rebuild: what came in meanwhile is folded until the version is near enough to the hub's end."""

import time
from collections.abc import Awaitable, Callable

from songline.processors.history.versions.switching import VersionBehindError, VersionSwitch

CATCHING_UP_S = 600.0
"""So long a version is built on for its switch. A machine that is busy may become quieter in that time."""


async def switch_once_near(
    switch: Callable[[], Awaitable[VersionSwitch]],
    build_on: Callable[[VersionBehindError], Awaitable[object]],
    steady: Callable[[], float] = time.monotonic,
) -> VersionSwitch:
    """Switch once the version is near enough to the hub's end; `build_on` adds what it lacks as long as it is not.

    Raises VersionBehindError where it is not near after CATCHING_UP_S of the clock `steady`, and what `switch` and
    `build_on` raise.
    """
    began_s = steady()
    while True:
        try:
            return await switch()
        except VersionBehindError as error:
            if steady() - began_s >= CATCHING_UP_S:
                raise
            await build_on(error)
