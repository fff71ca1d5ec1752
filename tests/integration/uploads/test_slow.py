"""Senders that hold a place and send next to nothing, heads that never end, connections on which nothing is said."""

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from songline.processes.environment import OUTBOX
from tests.support.api import ApiProcess
from tests.support.audio import song
from tests.support.http import connect, status
from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

AUDIO = {"Content-Type": "audio/wav", "X-User-Id": "user-slow"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture(scope="module")
def api(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An API that is as patient as a test can be."""
    folder = tmp_path_factory.mktemp("slow")
    environment = {
        **song_cloud.environment,
        OUTBOX: str(folder / "outbox.db"),
        "SONGLINE_BODY_SILENCE": "3",
        "SONGLINE_HEAD_TIMEOUT": "1.5",
        "SONGLINE_UPLOADS": "4",
    }
    api = ApiProcess(environment, folder / "api.log").start()
    yield api
    api.kill()


@pytest.fixture
async def http(app: App, api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


async def trickle(api: ApiProcess, method: str, path: str, headers: dict[str, str], pause_s: float) -> int:
    """Begin a request, send a byte of its body now and then, and return the status that it is answered with."""
    url = urlsplit(api.address)
    body = itertools.chain(b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\n", itertools.repeat(ord("x")))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        head = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Length: 9000"]
        head += map(": ".join, {**headers, **api.headers}.items())
        writer.write("\r\n".join([*head, "", ""]).encode())
        while True:
            try:
                async with asyncio.timeout(pause_s):
                    return status(await reader.readuntil(b"\r\n\r\n"))
            except TimeoutError:
                writer.write(bytes([next(body)]))
    finally:
        writer.close()


async def test_senders_of_a_byte_now_and_then_keep_nobody_out(http: httpx.AsyncClient, api: ApiProcess) -> None:
    seen: list[int] = []

    async def hold(path: str, headers: dict[str, str]) -> None:
        """Again and again, as somebody would who wants to do harm."""
        while True:
            seen.append(await trickle(api, "POST", path, headers, 0.3))
            await asyncio.sleep(0.1)

    async def answered(wanted: int) -> bool:
        answer = await http.post("/v1/songs", headers=AUDIO, content=wav)
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == wanted

    wav = song("wav", 0.2)
    holders = [asyncio.create_task(hold("/v1/songs", AUDIO)) for _ in range(8)]
    holders += [asyncio.create_task(hold("/v1/events", BATCH)) for _ in range(8)]
    try:
        await wait_for_async(lambda: answered(503), "every place to be taken")
        for _ in range(3):
            await wait_for_async(lambda: answered(202), "a place for whoever sends")
        like = await http.put("/v1/users/u/likes/s")
        assert like.is_success, like.text
        await wait_for_async(lambda: asyncio.sleep(0, 408 in seen), "who is slow to be told")
    finally:
        for holder in holders:
            holder.cancel()
        await asyncio.wait(holders)
    assert set(seen) <= {408, 503}


async def test_a_slow_sender_who_goes_on_sending_gets_through(http: httpx.AsyncClient) -> None:
    wav = song("wav", 1.0)
    size = len(wav) // 8

    async def slowly() -> AsyncIterator[bytes]:
        for at in range(0, len(wav), size):
            yield wav[at : at + size]
            await asyncio.sleep(0.5)

    answer = await http.post("/v1/songs", headers=AUDIO, content=slowly())
    assert answer.status_code == 202, answer.text


async def test_a_body_that_hardly_comes_is_given_up(api: ApiProcess) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=b", "X-User-Id": "u"}
    async with asyncio.timeout(60):
        found = await asyncio.gather(
            trickle(api, "POST", "/v1/songs", AUDIO, 0.5),
            trickle(api, "POST", "/v1/songs", form, 0.5),
            trickle(api, "POST", "/v1/events", BATCH, 0.5),
            trickle(api, "POST", "/v1/songs/s/plays", {}, 0.5),
            trickle(api, "PUT", "/v1/users/u/now-playing", {}, 0.5),
        )
    assert set(found) == {408}


@pytest.mark.parametrize(
    ("begin", "more", "expected"),
    [
        (b"", b"", None),
        (b"GET /v1/charts HTTP/1.1\r\nHost: x\r\n", b"", 408),
        (b"GET /v1/charts HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n", 408),
        (b"G", b"", 408),
        (b"GET /v1/charts HTTP/1.1\r\nHost: x\r\nX-Long: ", b"x" * 100_000, 431),
    ],
)
def test_a_head_that_does_not_end_is_given_up(api: ApiProcess, begin: bytes, more: bytes, expected: int | None) -> None:
    with connect(api.address) as raw:
        raw.sendall(begin)
        answer = until_closed(raw, more)
    assert not answer if expected is None else status(answer) == expected


def test_nor_is_one_behind_an_answer(api: ApiProcess) -> None:
    with connect(api.address) as raw:
        raw.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n")
        answer = until_closed(raw, b"X-A: b\r\n")
    assert answer.count(b" 200 OK\r\n") == 1
    assert answer.endswith(b" 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def test_the_rest_of_a_body_that_was_refused_is_not_waited_for_for_ever(api: ApiProcess) -> None:
    head = b"POST /v1/songs HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n"
    head += f"Authorization: {api.headers['Authorization']}\r\n\r\n".encode()
    with connect(api.address) as raw:
        raw.sendall(head)
        assert status(until_closed(raw, b"x")) == 415


def until_closed(raw: socket.socket, more: bytes) -> bytes:
    """What is answered until the other side closes, which it does soon, while `more` is sent now and then."""
    raw.settimeout(0.2)
    answer, began = b"", time.monotonic()
    while True:
        assert time.monotonic() - began < 60
        try:
            chunk = raw.recv(65536)
            if not chunk:
                return answer
            answer += chunk
        except TimeoutError:
            with suppress(ConnectionError):
                raw.sendall(more)
        except ConnectionError:
            return answer
