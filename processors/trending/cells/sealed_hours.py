"""The sealed hours of the cells in Blob Storage: one blob a partition and hour, which only grows.

A blob is a list of blocks. To seal is to add a block under the condition that the list is the one that was read, so
owners that know nothing of each other add to each other's blocks and never replace one. What is committed stays until
the whole hour is deleted. Beside a blob may stand what is derived from it: its image while the hour is open
(`hour_images.py`), and later its index (`hour_indexes.py`).
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError, ServiceResponseError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient, ContainerClient, StorageStreamDownloader

from songline.processors.trending.cells.sealed_blocks import is_intact

log = logging.getLogger(__name__)

INDEX = ".index"
"""How the name of an hour's index ends. Releases that know none pass over such a name."""

IMAGE = ".image"
"""The same of the image of an open hour."""

TRIES = 8
"""Another owner adds a block between two of ours at most a few times: it seals now and then."""

ANSWER_S = 10.0
"""How long the service may take for an answer, or for the next piece of one."""

SMALL_BYTES = 1_000_000
"""A blob of so many bytes is read by one request, and its blocks are asked for where a chunk of it is damaged. After a
start late events want hundreds of such hours, and a request takes two milliseconds of CPU."""

OVERTAKEN = (400, 404, 409, 412)
"""Another owner's list came first: the condition failed, or our block was dropped with the list before."""


class SealingError(Exception):
    """A block was not added; says why. What it held stays where it was."""


class OtherBlocksError(Exception):
    """The hour's blob does not begin with the blocks that were expected."""


class SealedHours:
    """The hours in a blob container, whose names begin with `prefix`. Methods raise AzureError."""

    def __init__(self, container: ContainerClient, prefix: str = "") -> None:
        self._container = container
        self._prefix = prefix

    async def add_block(self, partition: int, hour: int, block: bytes) -> int:
        """Add a block to the hour; return the size of the whole once the service says that the block is in it.

        Raises SealingError where other owners always come between.
        """
        blob = self.blob(blob_name(partition, hour))
        block_id = uuid.uuid4().hex
        for _ in range(TRIES):
            try:
                await self._commit(blob, block_id, block)
            except HttpResponseError as error:
                if error.status_code not in OVERTAKEN or _is_container_missing(error):
                    raise
            _, blocks = await _committed(blob)
            if any(one.id == block_id and one.size == len(block) for one in blocks):
                return sum(one.size for one in blocks)
        raise SealingError(f"{blob.blob_name}: no block could be added in {TRIES} tries, others add to it")

    async def read(self, partition: int, hour: int, behind: Sequence[str] = ()) -> AsyncIterator[bytes]:
        """The blocks of the hour in their order, none where it was never sealed; those of a small hour as one.

        `behind`: the ids of the blocks with which it begins, which are passed over. Raises OtherBlocksError where it
        does not begin with these. A blob that changes meanwhile raises ResourceModifiedError.
        """
        blob, begin = self.blob(blob_name(partition, hour)), len(behind)
        waiting = bytearray()
        pieces: AsyncIterator[bytes] | None = None
        blocks: list[BlobBlock] | None = None
        try:
            if behind:
                blocks = await _blocks(blob)
                if [one.id for one in blocks[:begin]] != list(behind):
                    raise OtherBlocksError(f"{blob.blob_name} does not begin with {begin} blocks that were expected")
                if begin == len(blocks):
                    return
            async with answer_in_time():
                stream = await blob.download_blob(offset=sum(one.size for one in (blocks or [])[:begin]) or None)
            if stream.size <= SMALL_BYTES:
                async with answer_in_time():
                    waiting += await stream.readall()
            else:
                pieces = pieces_of(stream)
            if blocks is None and (pieces is not None or not is_intact(bytes(waiting))):
                blocks = await _blocks(blob)
        except ResourceNotFoundError:
            if behind:
                raise OtherBlocksError(f"{blob.blob_name} is not there, {begin} blocks of it were expected") from None
            return
        sizes = [one.size for one in (blocks or [])[begin:]]
        while True:
            while sizes and len(waiting) >= sizes[0]:
                size = sizes.pop(0)
                yield bytes(waiting[:size])
                del waiting[:size]
            if pieces is None:
                break
            piece = await anext(pieces, None)
            if piece is None:
                break
            waiting += piece
        if waiting:
            # All of a small one, or what was not written in blocks or was added since.
            yield bytes(waiting)

    async def blocks(self, partition: int, hour: int) -> list[BlobBlock]:
        """The blocks of the hour by id and size, none where it was never sealed."""
        try:
            return await _blocks(self.blob(blob_name(partition, hour)))
        except ResourceNotFoundError:
            return []

    async def indexed(self, partition: int) -> set[int]:
        """The hours of a partition that have an index."""
        return await self._with(partition, INDEX)

    async def imaged(self, partition: int) -> set[int]:
        """The hours of a partition that have an image."""
        return await self._with(partition, IMAGE)

    async def _with(self, partition: int, ending: str) -> set[int]:
        begin = f"{self._prefix}{partition}/"
        names = [name.removeprefix(begin) for name in await self._names(begin) if name.endswith(ending)]
        return {int(one) for name in names if (one := name.removesuffix(ending)).isdecimal()}

    async def delete_before(self, partition: int, hour: int) -> None:
        """Delete the hours of a partition that are before `hour`, with what is derived from them."""
        begin = f"{self._prefix}{partition}/"
        for name in await self._names(begin):
            sealed = name.removeprefix(begin).removesuffix(INDEX).removesuffix(IMAGE)
            if sealed.isdecimal() and int(sealed) < hour:
                try:
                    await self._container.delete_blob(name)
                except ResourceNotFoundError:
                    continue

    def blob(self, name: str) -> BlobClient:
        """The client of a blob of this version."""
        return self._container.get_blob_client(self._prefix + name)

    async def make_container(self) -> None:
        """Make the container where it is missing: a worker may be newer than what was set up for it."""
        try:
            await self._container.create_container()
        except ResourceExistsError:
            # Another one, which missed it at the same time, has made it.
            return
        log.warning("made the blob container %s, which was missing", self._container.container_name)

    async def _names(self, begin: str) -> list[str]:
        try:
            return [one.name async for one in self._container.list_blobs(name_starts_with=begin)]
        except ResourceNotFoundError:
            return []

    async def _commit(self, blob: BlobClient, block_id: str, block: bytes) -> None:
        etag, before = await _committed(blob)
        if any(one.id == block_id for one in before):
            # The answer to an earlier try was lost.
            return
        async with answer_in_time():
            await blob.stage_block(block_id, block, validate_content=True)
        condition: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        if etag is not None:
            condition = {"match_condition": MatchConditions.IfNotModified, "etag": etag}
        blocks = [BlobBlock(one.id) for one in before]
        async with answer_in_time():
            await blob.commit_block_list([*blocks, BlobBlock(block_id)], **condition)


def blob_name(partition: int, hour: int) -> str:
    """`partition/hour`, the hour as UTC hours since 1970."""
    return f"{partition}/{hour}"


def index_name(partition: int, hour: int) -> str:
    """The name of the hour's index."""
    return blob_name(partition, hour) + INDEX


def image_name(partition: int, hour: int) -> str:
    """The name of the hour's image."""
    return blob_name(partition, hour) + IMAGE


async def _committed(blob: BlobClient) -> tuple[str | None, list[Any]]:
    """The blob's ETag, None where it is not there, and its blocks.

    The list is read after the ETag: one that has more makes a condition with that ETag fail.
    """
    try:
        async with answer_in_time():
            etag: str = (await blob.get_blob_properties()).etag
        return etag, await _blocks(blob)
    except ResourceNotFoundError:
        return None, []


async def _blocks(blob: BlobClient) -> list[BlobBlock]:
    async with answer_in_time():
        blocks, _ = await blob.get_block_list("committed")
    return list(blocks)


async def pieces_of(stream: StorageStreamDownloader[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a blob, each of which comes in time. Raises AzureError."""
    pieces = aiter(stream.chunks())
    while True:
        async with answer_in_time():
            piece = await anext(pieces, None)
        if piece is None:
            return
        yield piece


@asynccontextmanager
async def answer_in_time() -> AsyncIterator[None]:
    """Raise ServiceResponseError where no answer comes: the transport alone would wait for five minutes."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except TimeoutError:
        raise ServiceResponseError(f"Blob Storage did not answer for {ANSWER_S:g} s") from None


def _is_container_missing(error: HttpResponseError) -> bool:
    return getattr(error, "error_code", None) == "ContainerNotFound"
