"""The audio files in Blob Storage: staged files in `uploads`, and songs in `songs`, named by their SHA-256."""

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
from azure.storage.blob import ContentSettings, StorageErrorCode
from azure.storage.blob.aio import BlobClient, BlobServiceClient
from msgspec import Struct

from songline.cloud.blobs import CopySource
from songline.schemas.channels import SONG_BLOBS, UPLOAD_BLOBS

logger = logging.getLogger("ingestion.audio")


class StagedDownload(Struct, frozen=True):
    """A staged file that is being read: its name, its ETag, and its bytes in pieces."""

    name: str
    etag: str
    pieces: AsyncIterator[bytes]


class StoredBytes(Struct, frozen=True):
    """The bytes of a song as they were found, last stored or touched at `touched_at`."""

    sha256: str
    etag: str
    touched_at: datetime


class AudioStore:
    """Reads, stores and deletes audio files in Blob Storage.

    `copy_source` returns a blob's URL and authorization for a server-side copy. Without it, every file is uploaded.
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
        """Store the file at `path` under its hash.

        A blob that exists already stays and is touched, so that whoever found it before does not delete it. If the file
        was `staged`, the service copies it if possible, so that its bytes are not sent again.
        """
        blob = self._songs.get_blob_client(sha256)
        content = ContentSettings(content_type=content_type)
        while True:
            if await self.touch(sha256):
                return
            with suppress(ResourceExistsError):
                if staged is not None and await self._is_copied(staged, blob, content):
                    return
                with path.open("rb") as file:
                    await blob.upload_blob(file, overwrite=False, content_settings=content)
                return

    async def _is_copied(self, staged: StagedDownload, blob: BlobClient, content: ContentSettings) -> bool:
        """Let the service copy the staged bytes to `blob`; return whether it did. Raises ResourceExistsError."""
        if self._copy_source is None:
            return False
        original = self._uploads.get_blob_client(staged.name)
        try:
            # A copy gets the properties of its source, and no others.
            named = await original.set_http_headers(
                content, etag=staged.etag, match_condition=MatchConditions.IfNotModified
            )
            source = await self._copy_source(original)
            await blob.start_copy_from_url(
                source.url,
                requires_sync=True,
                source_authorization=source.authorization,
                source_etag=named["etag"],
                source_match_condition=MatchConditions.IfNotModified,
                match_condition=MatchConditions.IfMissing,
            )
        except HttpResponseError as error:
            # The SDK makes a ResourceExistsError of any 409.
            if getattr(error, "error_code", None) == StorageErrorCode.BLOB_ALREADY_EXISTS:
                raise
            # It copies 256 MiB at most, and a firewall may block its own requests to the account: 409 and 403
            # CannotVerifyCopySource. The local file is uploaded instead.
            logger.info("the service does not copy %s, so it is uploaded: %s", staged.name, error.message)
            return False
        return True

    async def touch(self, sha256: str) -> bool:
        """Have who found the bytes before not delete them; return whether they are there."""
        try:
            await self._songs.get_blob_client(sha256).set_blob_metadata({})
        except ResourceNotFoundError:
            return False
        return True

    async def find(self, sha256: str) -> StoredBytes | None:
        """The bytes as they are, None where they are not there."""
        try:
            seen = await self._songs.get_blob_client(sha256).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return StoredBytes(sha256, seen.etag, seen.last_modified)

    async def delete(self, found: StoredBytes) -> bool:
        """Delete the bytes, unless they were stored or touched since they were found; return whether they are gone."""
        blob = self._songs.get_blob_client(found.sha256)
        try:
            await blob.delete_blob(etag=found.etag, match_condition=MatchConditions.IfNotModified)
        except ResourceNotFoundError:
            return True
        except ResourceModifiedError:
            return False
        return True

    async def staged(self, before: datetime) -> AsyncIterator[str]:
        """The names of the staged files that were last modified before `before`."""
        async for blob in self._uploads.list_blobs():
            if blob.last_modified < before:
                yield blob.name

    async def unstage(self, name: str) -> None:
        """Delete the staged file `name`, if it exists."""
        with suppress(ResourceNotFoundError):
            await self._uploads.delete_blob(name)
