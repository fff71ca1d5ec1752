"""Event streams that end when the client doesn't read: otherwise they would hold a place without limit.

Only event streams have this limit. A paused player may leave the audio of a song unread.
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
"""X-Accel-Buffering keeps a proxy from buffering the stream, which would delay events."""


class EventStream(EventSourceResponse):
    """Server-sent events. The stream ends when the client reads nothing for `unread_s` seconds."""

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
            logger.info("a stream is ended because its client does not read")
