"""Where a file goes that comes in, by its length and by what there is room for."""

import hashlib

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob.aio import ContainerClient

from songline.producers.http.problems import RequestDeclinedError
from songline.producers.uploads.incoming_file import IncomingFile, UploadMemory
from songline.producers.uploads.staging import BLOCK, StagedFile
from songline.schemas.commands import MAX_SONG_BYTES

KEY = "a2V5"


def staged() -> StagedFile:
    """Under an address at which nobody listens: to send anything there fails."""
    container = ContainerClient("http://127.0.0.1:1/account", "uploads", AzureNamedKeyCredential("account", KEY))
    return StagedFile(container, "name", patience_s=0.1)


async def test_what_fits_stays_in_memory_and_gives_it_back() -> None:
    memory = UploadMemory(3 * BLOCK)
    arrival = IncomingFile(staged(), memory, room=2 * BLOCK, length=2 * BLOCK)
    assert not memory.take(2 * BLOCK)
    content = bytes(2 * BLOCK)
    for start in range(0, len(content), 100_000):
        await arrival.write(content[start : start + 100_000])
    await arrival.end()
    assert (arrival.is_staged, arrival.size, bytes(arrival.body)) == (False, len(content), content)
    assert arrival.sha256 == hashlib.sha256(content).hexdigest()
    await arrival.leave()
    await arrival.leave()
    assert memory.take(3 * BLOCK)
    assert not memory.take(1)


@pytest.mark.parametrize(("free", "room", "length"), [(BLOCK, 9 * BLOCK, 2 * BLOCK), (9 * BLOCK, BLOCK, 2 * BLOCK)])
async def test_what_finds_no_memory_or_fits_no_message_takes_none(free: int, room: int, length: int) -> None:
    memory = UploadMemory(free)
    IncomingFile(staged(), memory, room, length)
    assert memory.take(free)


async def test_a_file_larger_than_a_song_may_be_is_declined_as_soon_as_that_is_known() -> None:
    arrival = IncomingFile(staged(), UploadMemory(0), room=BLOCK, length=None)
    arrival.size = MAX_SONG_BYTES
    with pytest.raises(RequestDeclinedError) as declined:
        await arrival.write(b"x")
    assert declined.value.status == 413
