"""Tells the hub of ephemeral events what is playing."""

import asyncio
import logging
from contextlib import suppress
from typing import Self

from songline.cloud.settings import EventHubsSettings
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.producers.publishing.publisher import EventPublisher
from songline.schemas.channels import NOW_PLAYING
from songline.schemas.live import LiveEvent, encode

logger = logging.getLogger("songline.producers.http.now_playing_routes")

# What is not told within a moment is not what is playing any more.
PATIENCE_S = 2.0


class Announcer:
    """Tells the namespace of `settings` what is playing. It opens by itself, once the hub can be reached."""

    def __init__(self, settings: EventHubsSettings) -> None:
        self._publisher = EventPublisher(settings, NOW_PLAYING, buffer_events=1_000, patience_s=PATIENCE_S)
        self._opening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._opening = asyncio.create_task(self._open())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._opening is not None
        self._opening.cancel()
        await asyncio.wait([self._opening])
        # What could not be told is over.
        with suppress(TransientError):
            await self._publisher.close(0.0)

    async def publish(self, event: LiveEvent) -> None:
        """Return when the hub has it; raises TransientError or AccessDeniedError."""
        if self._opening is None or not self._opening.done():
            raise TransientError(
                f"{NOW_PLAYING}: the hub could not be reached yet, expected a connection: try again later"
            )
        await self._publisher.publish_bytes(encode(event), event.data.user_id)

    async def _open(self) -> None:
        while True:
            try:
                await self._publisher.__aenter__()
            except (TransientError, AccessDeniedError) as error:
                logger.warning("nothing is told of what is playing: %s", error)
                await asyncio.sleep(PATIENCE_S)
            else:
                return
