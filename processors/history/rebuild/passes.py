"""The passes of a rebuild under live traffic, until it has reached the hub's end."""

import time
from collections.abc import Awaitable, Callable

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.history.rebuild.progress import PartitionFoldCount
from songline.processors.history.rebuild.projection import RebuildParts
from songline.schemas.progress import lasting_position, split_position

NEAR_S = 5.0
"""A pass that took no longer has reached the end, as far as that can be reached."""

SHORTER = 0.75
"""A pass that takes more than this part of the one before it is not much shorter."""


def is_near(pass_s: float, before_s: float | None) -> bool:
    """Whether the hub's end is reached after a pass over what had come in, which took `pass_s` seconds.

    What comes in meanwhile takes another pass. Where that is not much shorter than the one before it (`before_s`, None
    for the first), as on a machine that is busy, more passes come no nearer: the switch says whether it is near enough.
    """
    return pass_s <= NEAR_S or (before_s is not None and pass_s > SHORTER * before_s)


async def ask_ends(parts: RebuildParts) -> None:
    """Note where the hub ends, for the time that is left. Raises EventHubError."""
    there = (await parts.hub.describe()).partitions

    async def ask(partition: str, count: PartitionFoldCount) -> None:
        count.end = count.position
        if partition in there:
            _, last = await parts.hub.read_ends(partition)
            count.end = max(count.position, lasting_position(split_position(count.position)[0], last))

    await gather_or_cancel(ask(partition, count) for partition, count in parts.count.partitions.items())


async def repeat_passes(
    ask_ends: Callable[[], Awaitable[None]], fold: Callable[[], Awaitable[None]], *, once: bool
) -> None:
    """Fold what there is until the hub's end is near, or `once`. Before each pass it is asked where the hub ends."""
    before_s: float | None = None
    while True:
        await ask_ends()
        began_s = time.monotonic()
        await fold()
        pass_s = time.monotonic() - began_s
        if once or is_near(pass_s, before_s):
            return
        before_s = pass_s
