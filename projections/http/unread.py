"""A stream of events to somebody who does not read is ended: it would hold its place for ever.

A paused player may leave the sound of a song unread for as long as it likes: only streams have this time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

from fastapi.sse import EventSourceResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

logger = logging.getLogger("songline.projections.http")

UNREAD_S = 60.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""A proxy that collects an answer before it passes it on would hold up what happens."""


class EventStream(EventSourceResponse):
    """Server-sent events, ended where the other side takes nothing for `unread_s` seconds."""

    def __init__(
        self, events: AsyncIterator[bytes], headers: Mapping[str, str] = _HEADERS, unread_s: float = UNREAD_S
    ) -> None:
        super().__init__(events, headers=headers)
        self._unread_s = unread_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def read(message: Message) -> None:
            async with asyncio.timeout(self._unread_s):
                await send(message)

        try:
            await super().__call__(scope, receive, read)
        except* (TimeoutError, ClientDisconnect):
            logger.info("a stream that nobody reads is ended")
