"""Whatever a client sends: a response, or the end of its connection with one sentence in the log. Never a surprise."""

import asyncio
import logging
import random
from collections.abc import Awaitable
from typing import Any

import pytest
from kio.index import load_request_schema
from kio.static.protocol import Entity

from localcloud.kafka.api_table import API_VERSIONS, SASL_AUTHENTICATE, SASL_HANDSHAKE, Api
from localcloud.kafka.codec import decode, encode, prefix_of
from localcloud.kafka.errors import ProtocolError
from localcloud.kafka.namespace import KafkaClient
from localcloud.kafka.server import KafkaServer
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from localcloud_tests.support.fuzzing import FACTOR, by_seed, seeded
from localcloud_tests.support.kafka import DEADLINE, read_response
from localcloud_tests.support.kafka_entities import decorated, entity, frame
from localcloud_tests.unit.kafka.conftest import Connect

WAY_IN = {SASL_HANDSHAKE, SASL_AUTHENTICATE, API_VERSIONS}
ROUNDS = 8 * FACTOR
SETTLED_S = 0.02


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The bytes behind the version, with some of them changed, cut out, put in or repeated."""
    head, body = data[:8], bytearray(data[8:])
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(5):
            case 0:
                body[at : at + 1] = bytes((rng.randrange(256),))
            case 1:
                del body[at : at + rng.randrange(9)]
            case 2:
                body[at:at] = rng.choice(
                    (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x0f", b"\0" * 5, b"\x80")
                )
            case 3:
                body[at : at + 4] = rng.choice((b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xfe"))
            case _:
                body += body[at : at + 50]
    return head + bytes(body)


@by_seed
@pytest.mark.parametrize("create_topics", [False, True])
async def test_every_request_has_a_response_that_can_be_written_or_is_a_protocol_error(
    store: LogStore, create_topics: bool, caplog: pytest.LogCaptureFixture, pytestconfig: pytest.Config
) -> None:
    rng = seeded(pytestconfig)
    client = KafkaClient("random", "127.0.0.1", None)
    outcomes = {"answered": 0, "refused": 0, "waiting": 0}
    async with KafkaServer(store, Keys(), port=0, session_ms=(100, 300_000), create_topics=create_topics) as server:
        versions = [pair for pair in server.apis.by_version.items() if pair[0][0] not in WAY_IN]
        for (key, version), api in versions * ROUNDS:
            schema = load_request_schema(key, version)
            request = entity(rng, schema)
            if schema.__flexible__ and rng.random() < 0.3:
                request = decorated(request, b"tag")
            outcomes[await outcome(rng, client, api, mutated(rng, frame(key, version, request)))] += 1
    assert outcomes["answered"] > len(versions)
    assert outcomes["refused"] > len(versions)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@by_seed
async def test_nothing_that_is_sent_before_signing_in_is_a_surprise(
    connect: Connect, caplog: pytest.LogCaptureFixture, pytestconfig: pytest.Config
) -> None:
    rng = seeded(pytestconfig)
    versions = [(17, 0), (17, 1), (18, 0), (18, 3), (36, 0), (36, 1), (36, 2), (3, 12), (0, 9)]
    for key, version in versions * (3 * FACTOR):
        client = await connect(sign_in=False)
        request = entity(rng, load_request_schema(key, version))
        client.send_frame(mutated(rng, frame(key, version, request)))
        client.writer.write_eof()
        async with asyncio.timeout(DEADLINE):
            while await client.reader.read(1000):
                pass
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def outcome(rng: random.Random, client: KafkaClient, api: Api, data: bytes) -> str:
    prefix = prefix_of(data)
    try:
        _, request = decode(data, prefix, api.canonical)
    except ProtocolError:
        return "refused"
    task = asyncio.create_task(response_to(api, client, request, prefix.api_version))
    await asyncio.wait((task,), timeout=SETTLED_S)
    if not task.done():  # a member that waits for its group, or a reader that waits for events
        task.cancel()
        await asyncio.wait((task,))
        return "waiting"
    read_response(b"".join(encode(prefix, task.result()))[4:], prefix.api_key, prefix.api_version)
    return "answered"


async def response_to(api: Api, client: KafkaClient, request: Any, version: int) -> Entity:
    assert api.handle is not None
    response = api.handle(client, request, version)
    return await response if isinstance(response, Awaitable) else response


async def test_a_malformed_request_ends_its_connection_with_one_sentence(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    frames = (
        "0003000a00000009ffff00ffffffff0f",
        "0000000900000001ffff00" + "ff" * 20,
        "0001000b00000001ffff" + "7f" * 30,
    )
    for sent in frames:
        caplog.clear()
        client = await connect()
        client.send_frame(bytes.fromhex(sent))
        assert await client.closed()
        for _ in range(100):
            if caplog.records:
                break
            await asyncio.sleep(0.01)
        assert [(record.levelname, "is malformed" in record.message) for record in caplog.records] == [
            ("WARNING", True)
        ]
