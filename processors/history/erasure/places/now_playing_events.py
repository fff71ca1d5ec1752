"""The hub `now-playing`: what a listener began to play within its retention."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

from songline.cloud import eventhubs
from songline.cloud.extras import load
from songline.cloud.settings import EventHubsSettings
from songline.processors.history.erasure.capture_progress import EXTRA
from songline.processors.history.erasure.job import HeldRecord
from songline.processors.history.erasure.rename import mentions
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.schemas.channels import NOW_PLAYING

GROUP = "$Default"


class NowPlayingEvents:
    """The events of the hub `now-playing` of the namespace of `settings`. They go by themselves."""

    name = "now-playing"

    def __init__(self, settings: EventHubsSettings) -> None:
        self._settings = settings

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """What the listener began to play."""
        reading: Any = load("songline.processors.history.archive.hub_tail", EXTRA)
        open_consumer = partial(eventhubs.consumer, self._settings, NOW_PLAYING, GROUP)
        async with open_consumer() as client:
            tail = reading.HubTail(open_consumer, HubMetadata(client))
            for partition in sorted((await tail.describe()).partitions):
                state = await tail.read_state(partition)
                async with aclosing(tail.read_on(partition, state.first, state.last)) as found:
                    async for records in found:
                        for position, body in zip(records.positions, records.bodies, strict=True):
                            if mentions(body, user_id):
                                value = {"body": body.decode("utf-8", "replace")}
                                key = f"{partition}:{position}"
                                yield HeldRecord(place=self.name, kind="playback", id=key, value=value)
