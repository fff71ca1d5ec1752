"""The images of the shards in Blob Storage: one blob a shard, by which a worker that starts restores it.

An image is written of what a worker has in memory, while that goes on counting. What it has at its end is saved before
it becomes the blob: a count that was in an image and nowhere else would never be saved again. It covers the changelog
up to the offset where it was begun, so all that was saved since is read after it; a count that is in both counts once.
What can't be used of an image is never needed: the changelog is read as a whole then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError
from azure.eventhub.exceptions import EventHubError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient

from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.trending.cells.derived_blobs import commit, read_header, staged, unchanged
from songline.processors.trending.cells.derived_file import MAX_HEADER_BYTES, BrokenFileError
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.sealed_hours import SealedHours, answer_in_time, pieces_of
from songline.processors.trending.shards.saved_through import SavedThrough
from songline.processors.trending.shards.shard_image import (
    MAGIC,
    ShardImage,
    ShardImageHeader,
    check_size,
    decode_shard_header,
    decode_shard_image,
)
from songline.processors.trending.shards.shard_image_parts import ShardImageParts
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.validation import check_image
from songline.processors.trending.spans import HOUR_MS
from songline.processors.trending.validation import MAX_PARTITIONS, StageLimits
from songline.schemas.errors import PoisonError
from songline.schemas.moments import milliseconds

log = logging.getLogger(__name__)

IMAGE_BYTES = 4_000_000
"""An image is made anew when so much was saved since: less is restored in a tenth of a second."""
GROWTH = 0.5
"""And when so much of the image's size was."""

LONGEST_MS = 12 * HOUR_MS
"""An image that is older is not used: the changelog says for a day that a key was deleted."""


class ShardImages:
    """The images of `shards` shards beside `hours`. `hub` is their changelog."""

    def __init__(
        self, hours: SealedHours, hub: HubMetadata, key: IdentityKey, shards: int, now_ms: Callable[[], int]
    ) -> None:
        self._hours = hours
        self._hub = hub
        self._key = key
        self.shards = shards
        self._now_ms = now_ms
        self._sizes: dict[int, int] = {}
        """The bytes of each shard's image, as far as they are known."""

    def is_due(self, number: int, through: SavedThrough) -> bool:
        """Whether the image of a shard is to be made anew."""
        least_bytes = max(IMAGE_BYTES, GROWTH * self._sizes.get(number, 0))
        return through.is_flushed and through.is_whole and through.size_bytes >= least_bytes

    async def write(
        self,
        shard: Shard,
        busy: asyncio.Lock,
        through: Callable[[], SavedThrough | None],
        save: Callable[[], Awaitable[bool]],
    ) -> None:
        """Write the image of a shard. While `busy` is held, nothing is saved of it but by `save`, which says whether
        all that the shard has counted is saved then. `through` is None where it is not known what is saved of it.
        Where that goes wrong, the next call does it."""
        async with self._tried_again(shard.number):
            blob = self._blob(shard.number)
            condition = await unchanged(blob)
            hub_ms = milliseconds((await self._hub.describe()).created_at)
            async with busy:
                if (begun := through()) is None:
                    return
                offset, size_bytes, made_ms = begun.offset, begun.size_bytes, self._now_ms()
                image, blocks = ShardImageParts(shard), list[BlobBlock]()
            for parts in image.steps():
                blocks += [await staged(blob, part) for part in parts]
                await asyncio.sleep(0)
            header = image.header(self._key.id, blob.blob_name, hub_ms, self.shards, offset, made_ms)
            if len(header) <= MAX_HEADER_BYTES:
                head = await staged(blob, header)
                async with busy:
                    if through() is not begun or not await save() or through() is not begun:
                        return
                await commit(blob, [head, *blocks], condition)
            else:
                # Nobody reads it. It is made no sooner than the next one would be: it may be smaller then.
                log.warning("the image of shard %d would have a header of %d bytes", shard.number, len(header))
            begun.size_bytes -= size_bytes
            self._sizes[shard.number] = len(header) + image.size_bytes

    @asynccontextmanager
    async def _tried_again(self, number: int) -> AsyncIterator[None]:
        """A block that writes the image of a shard. What services answer ends it; a container that is not there is made
        for the next one."""
        try:
            try:
                yield
            except ResourceNotFoundError:
                await self._hours.make_container()
        except (AzureError, EventHubError) as error:
            log.warning("the image of shard %d can't be written, trying again: %s", number, error)

    async def load(self, number: int) -> ShardImage | None:
        """The image of a shard, None where it has none that can be used."""
        try:
            return await self._read(number)
        except (ResourceNotFoundError, ResourceModifiedError):
            return None
        except (BrokenFileError, PoisonError) as why:
            log.warning("the image of shard %d can't be used, it is restored by its changelog: %s", number, why)
        except (AzureError, EventHubError) as error:
            log.warning("the image of shard %d can't be read, it is restored by its changelog: %s", number, error)
        return None

    async def _read(self, number: int) -> ShardImage:
        blob = self._blob(number)
        async with answer_in_time():
            stream = await blob.download_blob()
        pieces = pieces_of(stream)
        begin, behind = await read_header(pieces, MAGIC)
        header = await asyncio.to_thread(decode_shard_header, begin)
        # Of what can't be used no more is in memory than that.
        await self._check(header, blob.blob_name, str(number))
        check_size(header, stream.size - len(begin))
        data = bytearray(begin + behind)
        async for piece in pieces:
            data += piece
        image = await asyncio.to_thread(self._checked, number, data, header)
        self._sizes[number] = image.size_bytes
        return image

    def _checked(self, number: int, data: bytearray, header: ShardImageHeader) -> ShardImage:
        image = decode_shard_image(data, header)
        check_image(image, number, StageLimits(self.shards, MAX_PARTITIONS, self._now_ms()))
        return image

    async def _check(self, header: ShardImageHeader, name: str, partition: str) -> None:
        """Raise BrokenFileError unless the image goes on in this partition of the changelog."""
        if header.key != self._key.id:
            raise BrokenFileError(f"made under the key {header.key.hex()[:32]}, here is {self._key.id.hex()}")
        if header.name != name:
            raise BrokenFileError(f"made as {header.name[:100]!r}, here is {name!r}")
        if header.shards != self.shards:
            raise BrokenFileError(f"made of one shard of {header.shards}, here are {self.shards}")
        if not 0 <= self._now_ms() - header.made_ms <= LONGEST_MS:
            raise BrokenFileError(f"made {self._now_ms() - header.made_ms} ms ago, expected 0 to {LONGEST_MS}")
        if header.hub_ms != (hub_ms := milliseconds((await self._hub.describe()).created_at)):
            raise BrokenFileError(f"made of a changelog that was created at {header.hub_ms} ms, here is {hub_ms} ms")
        first, last = await self._hub.read_ends(partition)
        if not first - 1 <= header.offset <= last:
            raise BrokenFileError(f"made at offset {header.offset}, the changelog has {first} to {last}")

    def _blob(self, number: int) -> BlobClient:
        return self._hours.blob(f"shards/{number}.image")
