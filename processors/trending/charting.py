"""The pump of the merge: frames of `trending-tops` to charts, handed to whoever writes them."""

import logging
from collections import deque
from typing import Any

import msgspec
from faust.types import TP

from processors.trending import frames
from processors.trending.batching import App
from processors.trending.frames import Frame
from processors.trending.merge import Merge
from processors.trending.order import Order
from processors.trending.sink import Sink
from schemas.channels import TRENDING_TOPS

log = logging.getLogger(__name__)


class Charting:
    """The merge, while this worker holds the only partition of `trending-tops`.

    Offsets are committed up to the oldest whole frame that is still needed, so that the next owner finds one of every
    shard as soon as it starts.
    """

    def __init__(self, app: App, sink: Sink, shards: int) -> None:
        self._app = app
        self._sink = sink
        self._shards = shards
        self._order = Order(app, TRENDING_TOPS)
        self._merge: Merge | None = None
        self._messages: deque[Any] = deque()
        self._needed: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        self._applied = -1

    async def consume(self, stream: Any) -> None:
        async for event in stream.noack().events():
            if not await self._order.admits(event.message.partition, event.value) or self._merge is None:
                continue
            for offset, body in zip(event.value.offsets, event.value.bodies, strict=True):
                try:
                    frame = frames.decode(body)
                except msgspec.MsgspecError as error:
                    log.error("passed over %s/%d, no message of ours: %s", TRENDING_TOPS, offset, error)
                    continue
                self._merge.hear(frame)
                self._note(frame, offset)
            self._messages.append(event.message)
            self._applied = event.message.offset
            self._let_go()

    async def assigned(self, start: int | None) -> None:
        """Hold the merge, reading from the offset `start`; None: another worker holds it."""
        await self.revoked()
        if start is not None:
            self._order.start({0: start})
            self._merge = Merge(self._shards)
            self._applied = start - 1

    async def revoked(self) -> None:
        self._order.start({})
        self._merge = None
        self._messages.clear()
        self._needed.clear()
        self._begun.clear()
        self._sink.forget()

    async def write(self) -> None:
        """Write what is due, if all that was said has been heard: an owner that has just started hears old frames."""
        reach = self._app.consumer.reach(TP(TRENDING_TOPS, 0))
        if self._merge is not None and self._merge.ready and reach is not None and self._applied + 1 >= reach.end:
            await self._sink.write(self._merge)

    def _note(self, frame: Frame, offset: int) -> None:
        if frame.whole and frame.first:
            self._begun[frame.shard] = offset
        if frame.whole and frame.mark is not None and frame.shard in self._begun:
            self._needed[frame.shard] = self._begun.pop(frame.shard)

    def _let_go(self) -> None:
        if len(self._needed) < self._shards:
            return
        oldest = min(self._needed.values())
        while self._messages and self._messages[0].offset < oldest:
            self._app.consumer.ack(self._messages.popleft())
