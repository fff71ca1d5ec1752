"""Files that wait in Blob Storage for their command: sent block by block, and there only once they are whole.

Source: "Put Block" and "Put Block List" of the Blob service's REST API. Blocks are nothing to anybody until they are
committed, and uncommitted ones are forgotten after a week.
"""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient, ContainerClient

from songline.producers.publishing.errors import TransientError

BLOCK = 4 * 1024 * 1024


class StagedFile:
    """One file on its way into the container, under the name `name`. Several attempts may send the same file under the
    same name: each has block ids of its own, and the first to commit is the one that counts."""

    def __init__(self, uploads: ContainerClient, name: str, patience_s: float) -> None:
        self._blob: BlobClient = uploads.get_blob_client(name)
        self._patience_s = patience_s
        self._attempt = secrets.token_hex(8)
        self._blocks: list[BlobBlock] = []
        self._size = 0

    async def add(self, block: bytes) -> None:
        """The next at most `BLOCK` bytes; raises TransientError."""
        # All ids of a blob must be of one length.
        block_id = base64.b64encode(f"{self._attempt}{len(self._blocks):08}".encode()).decode()
        async with self._asking():
            await self._blob.stage_block(block_id, block, length=len(block))
        self._blocks.append(BlobBlock(block_id))
        self._size += len(block)

    async def commit(self) -> None:
        """The file is there, from this attempt or from one before; raises TransientError."""
        async with self._asking():
            try:
                await self._blob.commit_block_list(self._blocks, match_condition=MatchConditions.IfMissing)
            except (ResourceExistsError, ResourceModifiedError):
                # It may be what another attempt forgets at this very moment.
                found = (await self._blob.get_blob_properties()).size
                if found != self._size:
                    raise TransientError(
                        f"Blob Storage: saw {found} bytes, expected the {self._size} of this file"
                    ) from None

    async def forget(self) -> None:
        """Nothing of what was sent is kept. A file that is there under this name stays; what fails is left to the week
        after which the service forgets by itself."""
        if not self._blocks:
            return
        with contextlib.suppress(TransientError, ResourceNotFoundError):
            async with self._asking():
                # A blob must be there before it can be deleted, and with it what was never committed to it.
                made = await self._blob.commit_block_list([], match_condition=MatchConditions.IfMissing)
                await self._blob.delete_blob(etag=str(made["etag"]), match_condition=MatchConditions.IfNotModified)

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """The SDK's own retries go on for minutes, and somebody waits."""
        try:
            async with asyncio.timeout(self._patience_s):
                yield
        except TimeoutError:
            raise TransientError(
                f"Blob Storage gave no answer within {self._patience_s:g} s, expected one: try again later"
            ) from None
        except AzureError as error:
            raise TransientError(f"Blob Storage: saw {type(error).__name__}, expected the file to be taken") from error
