"""Blobs that are derived from others, and written as a whole: under the condition that each is what was seen before.

So owners that make the same one don't disturb each other, and whoever reads one sees that it was replaced meanwhile.
"""

import uuid
from collections.abc import AsyncIterator
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient

from songline.processors.trending.cells.derived_file import FRAME, BrokenFileError, header_size
from songline.processors.trending.cells.sealed_hours import OVERTAKEN, answer_in_time


async def unchanged(blob: BlobClient) -> dict[str, Any]:
    """The condition that the blob is what it is now."""
    try:
        async with answer_in_time():
            found = await blob.get_blob_properties()
    except ResourceNotFoundError:
        return {"match_condition": MatchConditions.IfMissing}
    return {"match_condition": MatchConditions.IfNotModified, "etag": found.etag}


async def staged(blob: BlobClient, data: bytes) -> BlobBlock:
    """A block with these bytes, which are in no blob yet."""
    block = BlobBlock(uuid.uuid4().hex)
    async with answer_in_time():
        await blob.stage_block(block.id, data, validate_content=True)
    return block


async def commit(blob: BlobClient, blocks: list[BlobBlock], condition: dict[str, Any]) -> None:
    """Make these blocks the blob. Returns as well where another owner has written it meanwhile."""
    try:
        async with answer_in_time():
            await blob.commit_block_list(blocks, **condition)
    except HttpResponseError as error:
        if error.status_code not in OVERTAKEN:
            raise


async def read_header(pieces: AsyncIterator[bytes], magic: bytes) -> tuple[bytes, bytes]:
    """The header of the file whose pieces these are, and what came with it; the rest is still to come. Raises
    BrokenFileError."""
    begin, size = b"", FRAME.size
    while len(begin) < size:
        piece = await anext(pieces, None)
        if piece is None:
            raise BrokenFileError(f"it ends after {len(begin)} bytes, expected {size} of its header")
        begin += piece
        if len(begin) >= FRAME.size:
            size = header_size(magic, begin)
    return begin[:size], begin[size:]
