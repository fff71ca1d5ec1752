"""The sound of songs: bytes out of Blob Storage, as they come, and any part of them."""

from collections.abc import AsyncIterator

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from songline.projections.http.ranges import ByteRange
from songline.projections.store import StoreUnavailableError
from songline.schemas.channels import SONG_BLOBS


class AudioLostError(Exception):
    """A song's bytes are not where they are kept. The operator looks why; a song that goes loses them too."""


class SongAudio:
    """The blob container `songs`. Never more than a block of a song is in memory."""

    def __init__(self, blobs: BlobServiceClient) -> None:
        self._songs = blobs.get_container_client(SONG_BLOBS)

    async def open(self, sha256: str, part: ByteRange) -> AsyncIterator[bytes]:
        """The bytes of `part`, in pieces, of which the first is there already.

        Raises AudioLostError and StoreUnavailableError.

        What breaks off later raises in the middle: the caller of the API sees the connection end and asks for the rest.
        """
        try:
            download = await self._songs.download_blob(sha256, offset=part.first, length=part.length)
        except ResourceNotFoundError:
            raise AudioLostError(f"blob {sha256} is not in the container {SONG_BLOBS!r}") from None
        except AzureError as error:
            raise StoreUnavailableError(f"Blob Storage can't be reached ({type(error).__name__})") from error
        return download.chunks()
