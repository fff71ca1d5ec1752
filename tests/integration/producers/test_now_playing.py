"""What is playing reaches those who listen at any process of the API, and nobody has to listen."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from songline.cloud.kafka import client_options
from songline.cloud.settings import read_eventhubs
from songline.processes.environment import OUTBOX
from songline.schemas.channels import NOW_PLAYING
from songline.schemas.live import LiveEvent, PlaybackStarted, encode
from tests.support.api import ApiProcess
from tests.support.localcloud import LocalCloud


@pytest.fixture(scope="module")
def apis(shared_localcloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ApiProcess]]:
    folder = tmp_path_factory.mktemp("apis")
    apis = [
        ApiProcess(
            {**shared_localcloud.environment, OUTBOX: str(folder / f"outbox-{number}.db")}, folder / f"{number}.log"
        ).start()
        for number in range(2)
    ]
    yield apis
    for api in apis:
        api.kill()


async def heard(api: ApiProcess, path: str) -> AsyncGenerator[str, None]:
    async with (
        api.client() as http,
        http.stream("GET", path) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                yield line.removeprefix("data: ")


async def test_it_reaches_listeners_of_every_process(apis: list[ApiProcess]) -> None:
    async def play() -> None:
        # Who listens from a moment on hears what comes after it: told again until it is heard.
        async with apis[0].client() as http:
            while True:
                for user in ("user-a", "user-b"):
                    response = await http.put(f"/v1/users/{user}/now-playing", json={"songId": f"song-of-{user}"})
                    assert response.status_code in (204, 503)
                await asyncio.sleep(0.05)

    async def listen(api: ApiProcess, path: str, users: set[str]) -> None:
        """Until each of `users` was heard, and nobody else."""
        missing = set(users)
        async with asyncio.timeout(60), aclosing(heard(api, path)) as lines:
            async for line in lines:
                (user,) = (user for user in users if f'"userId":"{user}","songId":"song-of-{user}","at":"' in line)
                missing.discard(user)
                if not missing:
                    return

    playing = asyncio.create_task(play())
    try:
        await asyncio.gather(
            *(listen(api, "/v1/now-playing", {"user-a", "user-b"}) for api in apis),
            listen(apis[1], "/v1/users/user-b/now-playing", {"user-b"}),
        )
    finally:
        playing.cancel()
        await asyncio.wait([playing])


ODD: tuple[bytes | None, ...] = (
    None,
    b"",
    b"null",
    b"\xff\xfe",
    b'{"userId":"\xff"}',
    b"[" * 100_000,
    b'{"specversion":"1.0","id":"a\xc3","source":"/s","type":"songline.playback.started.v1"',
    (
        b'{"specversion":"1.0","id":"a","source":"/\xff","type":"songline.playback.started.v1",'
        b'"time":"2026-11-22T14:00:00Z","data":{"userId":"u","songId":"s"}}'
    ),
    b'{"time":"9999-12-31T23:59:59.9999999-14:00"}',
    b"x" * 500_000,
)


async def test_after_records_that_are_none_of_ours_the_next_one_is_heard(
    shared_localcloud: LocalCloud, apis: list[ApiProcess]
) -> None:
    async def play(producer: AIOKafkaProducer) -> None:
        event = LiveEvent(
            id="e-1", source="/t", time=datetime.now(UTC), data=PlaybackStarted(user_id="user-odd", song_id="song-odd")
        )
        while True:
            for partition in sorted(await producer.partitions_for(NOW_PLAYING)):
                for odd in ODD:
                    await producer.send(NOW_PLAYING, odd, key=b"odd", partition=partition)
                await producer.send_and_wait(NOW_PLAYING, encode(event), partition=partition)
            await asyncio.sleep(0.05)

    settings = read_eventhubs(shared_localcloud.environment)
    async with AIOKafkaProducer(**client_options(settings), max_request_size=1 << 20) as producer:
        playing = asyncio.create_task(play(producer))
        try:
            async with asyncio.timeout(60), aclosing(heard(apis[0], "/v1/users/user-odd/now-playing")) as lines:
                # Twice: the odd ones are before it and behind it.
                assert "song-odd" in await anext(lines)
                assert "song-odd" in await anext(lines)
        finally:
            playing.cancel()
            await asyncio.wait([playing])
    said = apis[0].said
    assert "passed over: now-playing " in said
    assert said.count("passed over: ") < 8
    assert "Traceback" not in said
