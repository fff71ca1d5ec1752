"""How fast a file is written: as slowly as there is time for."""

from collections.abc import AsyncIterator, Awaitable, Callable

from localcloud.capture.state_file import PlannedFile


def spread_s(plan: PlannedFile, interval_s: int, partitions: int, now_ms: int) -> float:
    """How many seconds a file may take: its partition's share of half a window. No time where Capture is a window
    behind, or where a size ended the window: such events may come faster than files are spread."""
    is_behind = now_ms > (plan.end_s + interval_s) * 1000
    return 0.0 if plan.early or is_behind else interval_s / 2 / partitions


async def paced(
    pieces: AsyncIterator[bytes],
    part: Callable[[], float],
    span_s: float,
    clock: Callable[[], float],
    pause: Callable[[float], Awaitable[object]],
) -> AsyncIterator[bytes]:
    """The same pieces, spread evenly over `span_s`: each comes once as much of it is over as `part` says of the file
    (0 to 1), after the piece before. The first comes at once. `clock` is in seconds.

    A file has the events of a whole window: written at once, it takes a processor for seconds.
    """
    began, made = clock(), 0.0
    async for piece in pieces:
        left_s = began + span_s * made - clock()
        if left_s > 0:
            await pause(left_s)
        yield piece
        made = part()
