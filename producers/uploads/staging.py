"""Staged files: sent to Blob Storage block by block, and visible once they are committed.

Source: "Put Block" and "Put Block List" of the Blob service's REST API. The service deletes uncommitted blocks after a
week.
"""

import base64
import contextlib
import secrets
from collections.abc import Iterable, Sequence
from typing import cast

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient, ContainerClient

from songline.producers.publishing.errors import TransientError
from songline.producers.uploads.block_body import BlockBody
from songline.producers.uploads.patience import answering

BLOCK = 5 * 512 * 1024
"""Bytes above which what has come becomes a block. Each upload holds one, with the piece that came last: what comes in
next waits until it is sent."""


class StagedFile:
    """One attempt to send a file into the container under the name `name`.

    Several attempts may send the same file under the same name. Each has its own block ids, and the first commit wins.
    """

    def __init__(self, uploads: ContainerClient, name: str, patience_s: float) -> None:
        self._blob: BlobClient = uploads.get_blob_client(name)
        self._patience_s = patience_s
        self._attempt = secrets.token_hex(8)
        self._blocks: list[BlobBlock] = []
        self._size = 0

    async def add(self, pieces: Sequence[bytes | bytearray]) -> None:
        """Send the next block, the bytes of `pieces`, which nobody changes meanwhile; raises TransientError."""
        # All block ids of a blob must have the same length.
        block_id = base64.b64encode(f"{self._attempt}{len(self._blocks):08}".encode()).decode()
        size = sum(map(len, pieces))
        # The SDK hands it on to aiohttp, which takes views as well.
        body = cast(Iterable[bytes], BlockBody(pieces))
        async with self._guarded():
            await self._blob.stage_block(block_id, body, length=size)
        self._blocks.append(BlobBlock(block_id))
        self._size += size

    async def commit(self) -> None:
        """Commit the file, unless an earlier attempt has; raises TransientError."""
        async with self._guarded():
            try:
                await self._blob.commit_block_list(self._blocks, match_condition=MatchConditions.IfMissing)
            except (ResourceExistsError, ResourceModifiedError):
                # The existing blob may be the empty one that another attempt is deleting.
                found = (await self._blob.get_blob_properties()).size
                if found != self._size:
                    raise TransientError(
                        f"Blob Storage: saw {found} bytes, expected the {self._size} of this file"
                    ) from None

    async def forget(self) -> None:
        """Delete this attempt's uncommitted blocks. A committed file under this name stays.

        After a failure, the service deletes the blocks after a week.
        """
        if not self._blocks:
            return
        with contextlib.suppress(TransientError, ResourceNotFoundError):
            async with self._guarded():
                # Uncommitted blocks are deleted with their blob, and the blob must exist for that.
                made = await self._blob.commit_block_list([], match_condition=MatchConditions.IfMissing)
                await self._blob.delete_blob(etag=str(made["etag"]), match_condition=MatchConditions.IfNotModified)

    def _guarded(self) -> contextlib.AbstractAsyncContextManager[None]:
        return answering("Blob Storage", self._patience_s, "the file to be taken")
