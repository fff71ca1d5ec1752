"""The bytes: files that wait in `uploads`, and songs under the SHA-256 of their content in `songs`."""

import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient, BlobServiceClient
from msgspec import Struct

from songline.cloud.blobs import CopySource
from songline.schemas.channels import SONG_BLOBS, UPLOAD_BLOBS

logger = logging.getLogger("ingestion.audio")

# All of a song is one block: the service copies up to 4,000 MiB at once.
_BLOCK_ID = base64.b64encode(b"song").decode()


class StagedDownload(Struct, frozen=True):
    """A staged file that is read: its name, the ETag of the bytes, and these in pieces."""

    name: str
    etag: str
    pieces: AsyncIterator[bytes]


class AudioStore:
    """Blob Storage, as far as songs are concerned.

    `copy_source` gives a blob as the source of a copy by the service itself; without it every file is sent.
    """

    def __init__(
        self, blobs: BlobServiceClient, copy_source: Callable[[BlobClient], Awaitable[CopySource]] | None = None
    ) -> None:
        self._uploads = blobs.get_container_client(UPLOAD_BLOBS)
        self._songs = blobs.get_container_client(SONG_BLOBS)
        self._copy_source = copy_source

    async def fetch(self, name: str) -> StagedDownload:
        """The staged file `name`; raises ResourceNotFoundError (of azure.core)."""
        download = await self._uploads.download_blob(name)
        return StagedDownload(name, download.properties.etag, download.chunks())

    async def keep(self, sha256: str, path: Path, content_type: str, staged: StagedDownload | None) -> None:
        """Store the file at `path` under its hash. What is there already is kept, and touched, so that an `erase` that
        has looked at it before leaves it.

        The service itself copies the file that `path` was `staged` as, where it can: its bytes need not travel again.
        """
        blob = self._songs.get_blob_client(sha256)
        content = ContentSettings(content_type=content_type)
        while True:
            with suppress(ResourceNotFoundError):
                await blob.set_blob_metadata({})
                return
            with suppress(ResourceExistsError):
                if staged is not None and await self._is_copied(staged, blob, content):
                    return
                with path.open("rb") as file:
                    await blob.upload_blob(file, overwrite=False, content_settings=content)
                return

    async def _is_copied(self, staged: StagedDownload, blob: BlobClient, content: ContentSettings) -> bool:
        """Whether `blob` is there now, a copy of the very bytes that were read; raises ResourceExistsError."""
        if self._copy_source is None:
            return False
        source = await self._copy_source(self._uploads.get_blob_client(staged.name))
        try:
            await blob.stage_block_from_url(
                _BLOCK_ID,
                source.url,
                source_authorization=source.authorization,
                # The SDK has no parameter for this condition.
                headers={"x-ms-source-if-match": staged.etag},
            )
            await blob.commit_block_list(
                [BlobBlock(_BLOCK_ID)], content_settings=content, match_condition=MatchConditions.IfMissing
            )
        except ResourceExistsError:
            raise
        except HttpResponseError as error:
            # The file is at hand. An account may be closed to its own service's requests, by a firewall for instance.
            logger.info("the service does not copy %s, so it is sent: %s", staged.name, error.message)
            return False
        return True

    async def erase(self, sha256: str, untouched_since: datetime) -> bool:
        """Whether the bytes are gone. They stay if somebody kept them again since `untouched_since`."""
        blob = self._songs.get_blob_client(sha256)
        try:
            seen = await blob.get_blob_properties()
            if seen.last_modified >= untouched_since:
                return False
            await blob.delete_blob(etag=seen.etag, match_condition=MatchConditions.IfNotModified)
        except ResourceNotFoundError:
            return True
        except ResourceModifiedError:
            return False
        return True

    async def staged(self, before: datetime) -> AsyncIterator[str]:
        """The names of files that wait since `before`."""
        async for blob in self._uploads.list_blobs():
            if blob.last_modified < before:
                yield blob.name

    async def unstage(self, name: str) -> None:
        """The staged file is not needed any more."""
        with suppress(ResourceNotFoundError):
            await self._uploads.delete_blob(name)
