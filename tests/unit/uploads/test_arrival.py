"""Where a file goes that comes in, by its length and by what the link takes."""

import hashlib
from collections.abc import AsyncIterator

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob.aio import ContainerClient

from songline.producers.http.problems import RequestDeclinedError
from songline.producers.publishing.errors import TransientError
from songline.producers.uploads.incoming_file import INLINE, IncomingFile
from songline.producers.uploads.staging import BLOCK, StagedFile
from songline.schemas.commands import MAX_SONG_BYTES

KEY = "a2V5"


@pytest.fixture
async def staged() -> AsyncIterator[StagedFile]:
    """Under an address at which nobody listens: to send anything there fails."""
    credential = AzureNamedKeyCredential("account", KEY)
    async with ContainerClient("http://127.0.0.1:1/account", "uploads", credential) as container:
        yield StagedFile(container, "name", patience_s=0.1)


async def send(arrival: IncomingFile, content: bytes) -> None:
    for start in range(0, len(content), 100_000):
        await arrival.write(content[start : start + 100_000])
    await arrival.end()


async def test_a_small_file_that_the_link_takes_stays_in_memory(staged: StagedFile) -> None:
    arrival = IncomingFile(staged, room=2 * BLOCK)
    content = bytes(range(256)) * (INLINE // 256)
    await send(arrival, content)
    assert (arrival.is_staged, arrival.size, bytes(arrival.body)) == (False, len(content), content)
    assert arrival.sha256 == hashlib.sha256(content).hexdigest()
    await arrival.leave()


@pytest.mark.parametrize(
    ("size", "room"), [(INLINE + 1, 2 * BLOCK), (BLOCK + 1, 2 * BLOCK), (INLINE, INLINE - 1), (1, 0)]
)
async def test_what_is_not_small_or_fits_no_message_is_staged(staged: StagedFile, size: int, room: int) -> None:
    arrival = IncomingFile(staged, room)
    with pytest.raises(TransientError, match="Blob Storage"):
        await send(arrival, bytes(size))
    assert arrival.is_staged


async def test_a_file_larger_than_a_song_may_be_is_declined_as_soon_as_that_is_known(staged: StagedFile) -> None:
    arrival = IncomingFile(staged, room=BLOCK)
    arrival.size = MAX_SONG_BYTES
    with pytest.raises(RequestDeclinedError) as declined:
        await arrival.write(b"x")
    assert declined.value.status == 413
