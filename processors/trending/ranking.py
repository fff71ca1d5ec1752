"""The pump of stage 2: partials to shards, and their top lists to `trending-tops`."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from processors.trending import frames, partials
from processors.trending.batch import Batch
from processors.trending.batching import App
from processors.trending.changelog import Changelog
from processors.trending.checks import Limits, check_partial
from processors.trending.order import Order
from processors.trending.outlet import Outgoing, changes, keep, send
from processors.trending.passed_over import ParkingQueue, passed_over
from processors.trending.shards import Shard
from schemas.channels import TRENDING_PARTIALS, TRENDING_SHARDS_CHANGELOG, TRENDING_TOPS
from schemas.errors import Poison


class Ranking:
    """Shards of the partitions of `trending-partials` that this worker holds."""

    def __init__(
        self,
        app: App,
        table: Any,
        saved: Changelog,
        limits: Callable[[], Limits],
        now_ms: Callable[[], int],
        whole_ms: int,
        parking: ParkingQueue,
    ) -> None:
        self._app = app
        self._table = table
        self._saved = saved
        self._limits = limits
        self._parking = parking
        self._now_ms = now_ms
        self._whole_ms = whole_ms
        self._order = Order(app, TRENDING_PARTIALS)
        self._shards: dict[int, Shard] = {}
        self._told_whole: dict[int, int] = {}
        self._messages: dict[int, list[Any]] = defaultdict(list)
        self._busy = asyncio.Lock()

    @property
    def shards(self) -> Mapping[int, Shard]:
        """The shards that this worker holds, by number."""
        return self._shards

    async def consume(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            if not await self._order.admits(message.partition, event.value):
                continue
            shard = self._shards.get(message.partition)
            if shard is not None:
                self._apply(shard, event.value)
                self._messages[message.partition].append(message)

    def _apply(self, shard: Shard, batch: Batch) -> None:
        limits = self._limits()
        for index, body in enumerate(batch.bodies):
            try:
                partial = partials.decode(body)
                check_partial(partial, shard.number, limits, shard.songs)
            except Poison as why:
                self._parking.add(TRENDING_PARTIALS, shard.number, passed_over(why, batch, index))
            else:
                shard.apply(partial)

    async def assigned(self, starts: dict[int, int], owner: str) -> None:
        """Hold these shards, each from its first offset to read, and no others; what was saved of them is recovered."""
        self._messages.clear()
        self._order.start(starts)
        self._told_whole = {}
        self._shards = {}
        await self._saved.prune(set(starts))
        shards = {}
        for number in starts:
            shard = shards[number] = Shard(number, owner)
            shard.advance(self._now_ms())
            shard.restore((key.decode(), value) for key, value in self._saved.records(f"{number}/"))
        self._shards = shards

    async def revoked(self) -> None:
        async with self._busy:
            self._order.start({})
            self._shards = {}
            self._messages.clear()
            self._parking.forget(TRENDING_PARTIALS)

    async def tick(self) -> None:
        """Slide the windows to now, and tell what changed: everything, where that was not told for a while."""
        async with self._busy:
            now_ms = self._now_ms()
            for number, shard in list(self._shards.items()):
                shard.advance(now_ms)
                whole = now_ms - self._told_whole.get(number, 0) >= self._whole_ms
                songs, tops = shard.tops(whole=whole)
                bodies = frames.parts(number, whole, songs, tops, shard.mark(now_ms))
                await send(self._app.producer, [Outgoing(TRENDING_TOPS, body, 0) for body in bodies])
                if whole:
                    self._told_whole[number] = now_ms

    async def save(self) -> None:
        """Save what was applied, and only then let its offsets be committed."""
        async with self._busy:
            for number, shard in list(self._shards.items()):
                if not await self._parking.park(TRENDING_PARTIALS, number):
                    continue
                messages = self._messages.pop(number, [])
                if messages:
                    values = shard.flush()
                    keep(self._table, values)
                    await send(self._app.producer, changes(TRENDING_SHARDS_CHANGELOG, number, values))
                    for message in messages:
                        self._app.consumer.ack(message)
