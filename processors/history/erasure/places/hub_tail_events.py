"""The hub: the listener's events that the archive does not have."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from songline.cloud.extras import load
from songline.processors.history.erasure.capture_progress import EXTRA
from songline.processors.history.erasure.job import HeldRecord
from songline.processors.history.erasure.rename import mentions


class HubTailEvents:
    """What the hub `music-events` that `environ` names has and its archive lacks. It goes by itself."""

    name = "hub"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """The listener's events which no whole file has, and which are not forgotten yet: before an archive that was
        turned on late, between its files, and behind its end."""
        opening: Any = load("songline.processors.history.archive.opening", EXTRA)
        async with opening.open_history(self._environ, skip=True) as history:
            for partition in await history.partitions():
                async with aclosing(history.read_only_in_hub(partition)) as found:
                    async for records in found:
                        for position, body in zip(records.positions, records.bodies, strict=True):
                            if not mentions(body, user_id):
                                continue
                            key = f"{partition}:{position}"
                            value = {"body": body.decode("utf-8", "replace")}
                            yield HeldRecord(place=self.name, kind="event of the hub", id=key, value=value)
