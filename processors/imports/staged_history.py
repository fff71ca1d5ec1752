"""The staged file of an import: fetched to this machine's disk, and deleted at the end, since it may hold addresses."""

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from songline.processors.imports.rows import UnreadableHistoryError
from songline.schemas.channels import UPLOAD_BLOBS
from songline.schemas.commands import MAX_SONG_BYTES, Upload


class StagedHistories:
    """The files in the Blob container `uploads`."""

    def __init__(self, blobs: BlobServiceClient) -> None:
        self._uploads = blobs.get_container_client(UPLOAD_BLOBS)

    async def fetch(self, upload: Upload, path: Path) -> None:
        """Write the file to `path`. Raises UnreadableHistoryError where it has gone, or is not what was sent, and
        AzureError."""
        if upload.blob is None or upload.size > MAX_SONG_BYTES:
            raise UnreadableHistoryError(
                f"Its file has more than {MAX_SONG_BYTES // 1_000_000} MB: import it in parts."
            )
        try:
            download = await self._uploads.download_blob(upload.blob)
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", None) == "ContainerNotFound":
                raise
            raise UnreadableHistoryError("Its file is not there any more. Send it again.") from None
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            async for piece in download.chunks():
                size += len(piece)
                if size > upload.size:
                    break
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
        if size != upload.size or digest.hexdigest() != upload.sha256:
            raise UnreadableHistoryError("Its file was changed on its way. Send it again.")

    async def delete(self, name: str | None) -> None:
        """Delete the file, if it is there. Raises AzureError."""
        if name is not None:
            with suppress(ResourceNotFoundError):
                await self._uploads.delete_blob(name)
