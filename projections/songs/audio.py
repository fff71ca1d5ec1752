"""The audio of songs: streams bytes, or a range of them, from Blob Storage."""

from collections.abc import AsyncIterator

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from songline.projections.http.ranges import ByteRange
from songline.projections.store import StoreUnavailableError
from songline.schemas.channels import SONG_BLOBS


class AudioLostError(Exception):
    """The blob of a song does not exist. The song was removed meanwhile, or the operator must find the cause."""


class SongAudio:
    """The blob container `songs`. At most one block of a song is in memory."""

    def __init__(self, blobs: BlobServiceClient) -> None:
        self._songs = blobs.get_container_client(SONG_BLOBS)

    async def open(self, sha256: str, part: ByteRange) -> AsyncIterator[bytes]:
        """The bytes of `part`, in pieces. The first piece is read before this returns.

        Raises AudioLostError and StoreUnavailableError. A later failure raises during iteration: the API's client sees
        the connection end, and requests the rest.
        """
        try:
            download = await self._songs.download_blob(sha256, offset=part.first, length=part.length)
        except ResourceNotFoundError:
            raise AudioLostError(f"blob {sha256} is not in the container {SONG_BLOBS!r}") from None
        except AzureError as error:
            raise StoreUnavailableError(f"Blob Storage can't be reached ({type(error).__name__})") from error
        return download.chunks()
