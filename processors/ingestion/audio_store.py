"""The bytes: files that wait in `uploads`, and songs under the SHA-256 of their content in `songs`."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobServiceClient

from songline.schemas.channels import SONG_BLOBS, UPLOAD_BLOBS

BLOCK = 4 * 1024 * 1024


class AudioStore:
    """Blob Storage, as far as songs are concerned."""

    def __init__(self, blobs: BlobServiceClient) -> None:
        self._uploads = blobs.get_container_client(UPLOAD_BLOBS)
        self._songs = blobs.get_container_client(SONG_BLOBS)

    async def fetch(self, name: str) -> AsyncIterator[bytes]:
        """The staged file `name`, in pieces; raises ResourceNotFoundError (of azure.core)."""
        download = await self._uploads.download_blob(name)
        async for piece in download.chunks():
            yield piece

    async def keep(self, sha256: str, path: Path, content_type: str) -> None:
        """Store the file at `path` under its hash. What is there already is kept, and touched, so that an `erase` that
        has looked at it before leaves it."""
        blob = self._songs.get_blob_client(sha256)
        while True:
            with suppress(ResourceNotFoundError):
                await blob.set_blob_metadata({})
                return
            with suppress(ResourceExistsError), path.open("rb") as file:
                await blob.upload_blob(
                    file, overwrite=False, content_settings=ContentSettings(content_type=content_type)
                )
                return

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
