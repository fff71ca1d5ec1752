"""Shards that are loaded by their images before it is known what was saved since.

That is done while the group shares partitions out, or while the changelogs are read. What is loaded is held only once
its partition is assigned and recovered; before that it is in use by nobody, and may be dropped.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from songline.processors.trending.shards.shard_image import ShardImage
from songline.processors.trending.shards.state import Shard
from songline.schemas.decoding import read_text

log = logging.getLogger(__name__)

LOAD_S = 5.0
"""So long a worker that has got its partitions waits for their images. Much more is restored in that time."""


class ImageSource(Protocol):
    """Where images are stored, of `shards` shards."""

    shards: int

    async def load(self, number: int) -> ShardImage | None:
        """The image of a shard, None where it has none that can be used."""


class LoadedShard(NamedTuple):
    """The image of a shard, and the shard once it has counted what is in it."""

    image: ShardImage
    filled: asyncio.Task[Shard]


class ShardLoads:
    """Loads shards. `fill` makes one that has counted its image; it is called in a thread."""

    def __init__(self, images: ImageSource, fill: Callable[[int, ShardImage], Shard]) -> None:
        self._images = images
        self._fill = fill
        self._loads: dict[int, asyncio.Task[LoadedShard | None]] = {}
        self._filling = asyncio.Lock()
        """Held while a shard is filled: of several threads at once the event loop would have little."""

    def begin(self, numbers: Iterable[int]) -> None:
        """Load shards that will probably be held."""
        for number in numbers:
            if number < self._images.shards and number not in self._loads:
                self._loads[number] = asyncio.create_task(self._load(number))

    async def images(self, numbers: Collection[int]) -> dict[int, ShardImage]:
        """The images of shards that are held now, as far as there are any. They are loaded until they are taken."""
        self.drop(but=numbers)
        self.begin(numbers)
        if self._loads:
            _, late = await asyncio.wait(self._loads.values(), timeout=LOAD_S)
            for number in [number for number, load in self._loads.items() if load in late]:
                log.warning("the image of shard %d does not come in time, it is restored by its changelog", number)
                self._drop(number)
        return {number: loaded.image for number, loaded in self._loaded().items()}

    def take(self, numbers: Iterable[int]) -> Mapping[int, LoadedShard]:
        """What `images` has returned of these shards; each is given away once, and others are dropped."""
        loaded = self._loaded()
        found = {number: loaded[number] for number in numbers if number in loaded}
        for number in found:
            del self._loads[number]
        self.drop()
        return found

    def drop(self, but: Collection[int] = ()) -> None:
        """Load no more of shards that nobody has taken."""
        for number in self._loads.keys() - but:
            self._drop(number)

    def _drop(self, number: int) -> None:
        load = self._loads.pop(number)
        if not load.cancel() and load.exception() is None and (loaded := load.result()) is not None:
            loaded.filled.cancel()

    def _loaded(self) -> dict[int, LoadedShard]:
        done = {number: load.result() for number, load in self._loads.items() if load.done()}
        return {number: loaded for number, loaded in done.items() if loaded is not None}

    async def _load(self, number: int) -> LoadedShard | None:
        image = await self._images.load(number)
        return None if image is None else LoadedShard(image, asyncio.create_task(self._filled(number, image)))

    async def _filled(self, number: int, image: ShardImage) -> Shard:
        async with self._filling:
            return await asyncio.to_thread(self._fill, number, image)


def restore(shard: Shard, saved: Iterable[tuple[bytes, bytes]], now_ms: int) -> None:
    """Apply what is saved of a shard, which may be filled by its image."""
    shard.advance(now_ms)
    shard.restore((read_text(key), value) for key, value in saved)


def bytes_behind(saved: Iterable[tuple[bytes, bytes]], loaded: LoadedShard | None) -> int:
    """How many bytes of what is saved of a shard are in no image, as far as its keys say so."""
    known = {} if loaded is None else loaded.image.header.records
    return sum(len(value) for key, value in saved if value and read_text(key) not in known)
