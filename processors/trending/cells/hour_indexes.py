"""The indexes of sealed hours in Blob Storage: one blob beside that of an hour, which is derived from it.

An index is written as a whole, under the condition that it is the one that was seen, or none. So owners that make the
same one don't disturb each other, and whoever reads one sees that it was replaced meanwhile.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.trending.cells.derived_blobs import commit, staged, unchanged
from songline.processors.trending.cells.hour_index import HourIndex, PageRun, decode_index, index_header_size
from songline.processors.trending.cells.index_builder import IndexBuilder, IndexPages
from songline.processors.trending.cells.sealed_hours import SealedHours, answer_in_time, index_name

HEADER_BYTES = 65_536
"""So much is read at first: the header of an hour of three million actions."""

_NO_SUCH_RANGE = 416

READS = 8
"""Reads of one index at the same time."""


class IndexReplacedError(Exception):
    """The index is another one by now, or was deleted with its hour."""


class HourIndexes:
    """The indexes beside `hours`. Methods raise AzureError."""

    def __init__(self, hours: SealedHours) -> None:
        self._hours = hours

    async def open(self, partition: int, hour: int) -> HourIndex | None:
        """The hour's index, None where it has none. Raises BrokenFileError."""
        blob = self._hours.blob(index_name(partition, hour))
        try:
            begin, etag = await _download(blob, 0, HEADER_BYTES)
            if (size := index_header_size(begin)) > len(begin):
                begin += await _read(blob, etag, len(begin), size)
        except (ResourceNotFoundError, IndexReplacedError):
            return None
        return decode_index(begin, etag)

    async def read(self, partition: int, hour: int, index: HourIndex, runs: Iterable[PageRun]) -> list[bytes]:
        """The bytes of some pages. Raises IndexReplacedError."""
        blob = self._hours.blob(index_name(partition, hour))
        turns = asyncio.Semaphore(READS)

        async def read(run: PageRun) -> bytes:
            async with turns:
                return await _read(blob, index.etag, run.begin_byte, run.end_byte)

        return await gather_or_cancel(map(read, runs))

    async def make(self, partition: int, hour: int, builder: IndexBuilder, blocks: list[str]) -> None:
        """Write the index that `builder` makes of what it has taken, the blocks with these ids.

        Returns as well where another owner has written one meanwhile.
        """
        blob = self._hours.blob(index_name(partition, hour))
        condition = await unchanged(blob)
        rows: list[BlobBlock] = []
        counts: list[BlobBlock] = []
        pages = builder.pages()
        while (some := await asyncio.to_thread(next, pages, None)) is not None:
            await _stage(blob, some, rows, counts)
        header = await staged(blob, builder.header(blocks))
        await commit(blob, [header, *rows, *counts], condition)


async def _stage(blob: BlobClient, pages: IndexPages, rows: list[BlobBlock], counts: list[BlobBlock]) -> None:
    for data, blocks in ((pages.rows, rows), (pages.counts, counts)):
        if data:
            blocks.append(await staged(blob, data))


async def _read(blob: BlobClient, etag: str, begin: int, end: int) -> bytes:
    try:
        data, _ = await _download(blob, begin, end, etag=etag, match_condition=MatchConditions.IfNotModified)
    except (ResourceModifiedError, ResourceNotFoundError):
        raise IndexReplacedError(f"{blob.blob_name} is another one by now") from None
    return data


async def _download(blob: BlobClient, begin: int, end: int, **condition: Any) -> tuple[bytes, str]:
    """Bytes of a blob, as far as it has them, and its ETag."""
    try:
        async with answer_in_time():
            stream = await blob.download_blob(offset=begin, length=end - begin, **condition)
            return await stream.readall(), stream.properties.etag
    except HttpResponseError as error:
        if error.status_code != _NO_SUCH_RANGE:
            raise
        # It ends before.
        return b"", ""
