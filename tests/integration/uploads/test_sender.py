"""The command sender against brokers that take more, or less."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from songline.cloud import cosmos, servicebus
from songline.cloud.settings import read_cosmos, read_servicebus
from songline.processes.entities import CONTAINERS
from songline.producers.publishing.errors import AccessDeniedError
from songline.producers.uploads.command_sender import PROPERTIES_ROOM, CommandSender
from songline.schemas.channels import DATABASE, SONG_COMMANDS
from songline.schemas.commands import Command, IngestSong, Metadata, Upload
from tests.support.api import ApiProcess
from tests.support.localcloud import LocalCloud

STANDARD = Path(__file__).parents[3] / "infra" / "emulators" / "servicebus" / "Config.json"


def command(body: bytes) -> Command:
    """As long as a command can be."""
    upload = Upload(sha256=hashlib.sha256(body).hexdigest(), size=len(body), content_type="audio/wav")
    said = Metadata(title="\U0001f3b5" * 300, artist="\U0001f3b5" * 300, album="\U0001f3b5" * 300, genre="a" * 64)
    order = IngestSong(user_id="u" * 128, upload=upload, file_name="\U0001f3b5" * 255, metadata=said)
    return Command(id="i" * 128, source="/tests", time=datetime.now(UTC), data=order)


@pytest.mark.parametrize(("options", "kilobytes"), [((), 102_400), (("--servicebus-config", str(STANDARD)), 256)])
async def test_what_the_link_takes_is_taken_to_the_last_byte(
    start_localcloud: Callable[..., LocalCloud], options: tuple[str, ...], kilobytes: int
) -> None:
    cloud = start_localcloud(*options)
    async with servicebus.client(read_servicebus(cloud.environment), retry_total=0) as bus:
        sender = CommandSender(bus)
        room = await sender.room()
        assert room == kilobytes * 1024 - PROPERTIES_ROOM
        body = bytes(min(room, 4_000_000))
        await sender.send(command(body), body)
        # Sent again, it is taken once.
        await sender.send(command(body), body)
        async with bus.get_queue_receiver(SONG_COMMANDS) as receiver:
            (waiting,) = await receiver.peek_messages(10)
            assert len(b"".join(waiting.body)) == len(body)
        await sender.close()


async def test_a_broker_that_comes_back_is_found_again_and_one_that_stays_away_is_told(
    start_localcloud: Callable[..., LocalCloud], tmp_path: Path
) -> None:
    cloud = start_localcloud("--blobs")
    async with cosmos.client(read_cosmos(cloud.environment)) as store:
        await cosmos.ensure(store, DATABASE, CONTAINERS)
    # A process of its own: the SDK leaves the sockets of a broker that was killed to the garbage collector.
    api = ApiProcess(cloud.environment, tmp_path / "api.log").start()
    headers = {"X-User-Id": "user-7", "Content-Type": "audio/wav"}
    try:
        async with api.client() as http:
            assert (await http.post("/v1/songs", headers=headers, content=b"before")).status_code == 202
            cloud.restart()
            assert (await http.post("/v1/songs", headers=headers, content=b"after")).status_code == 202
            cloud.kill()
            away = await http.post("/v1/songs", headers=headers, content=b"away")
            assert (away.status_code, away.headers["retry-after"]) == (503, "10")
            assert (await http.get("/health/live")).status_code == 200
    finally:
        api.kill()


async def test_a_queue_that_is_not_there_is_the_operators_to_mend(localcloud: LocalCloud) -> None:
    async with servicebus.client(read_servicebus(localcloud.environment), retry_total=0) as bus:
        sender = CommandSender(bus, "no-such-queue", patience_s=5)
        with pytest.raises(AccessDeniedError, match="no-such-queue"):
            await sender.room()
        await sender.close()
