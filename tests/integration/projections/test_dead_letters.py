"""The dead letters of `song-commands` as each of their readers sees them: the same answer however often it is asked."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusReceiver

from songline.cloud import cosmos
from songline.cloud.servicebus import peeked
from songline.cloud.settings import read_blobs, read_cosmos, read_servicebus
from songline.doctor.facts import DeadLetterFacts
from songline.doctor.gather import _dead_letters
from songline.processes.entities import CONTAINERS
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.reconciler import Reconciler, ReconcilerConfig
from songline.projections.api import create
from songline.projections.live.dead_letters import PEEKED
from songline.repair.audit import AuditLog
from songline.repair.dead_letters import DeadLetters
from songline.schemas.channels import AUDIT, DATABASE, SONG_COMMANDS
from songline.schemas.commands import PROPERTY, Command, IngestSong, Upload, encode
from tests.support.ingestion import App

# More than a page of each reader stays. The others are taken out, which leaves gaps, also at both ends.
LETTERS = PEEKED + 12
GONE = frozenset({0, 1, 7, 8, 9, 20, 21, 27, LETTERS - 1})
ASKED = 2


def message(number: int) -> ServiceBusMessage:
    upload = Upload(sha256="ab" * 32, size=0, content_type="audio/wav")
    order = IngestSong(user_id="user-7", upload=upload)
    command = Command(id=f"l-{number}", source="/tests", time=datetime(2026, 11, 28, tzinfo=UTC), data=order)
    return ServiceBusMessage(b"", message_id=command.id, application_properties={PROPERTY: encode(command).decode()})


async def received(receiver: ServiceBusReceiver, count: int) -> list[ServiceBusReceivedMessage]:
    found: list[ServiceBusReceivedMessage] = []
    while len(found) < count:
        found += await receiver.receive_messages(count - len(found), max_wait_time=5)
    return found


@pytest.fixture
async def letters(app: App) -> list[int]:
    """The sequence numbers of the letters that stay."""
    async with app.bus.get_queue_sender(SONG_COMMANDS) as sender:
        await sender.send_messages([message(number) for number in range(LETTERS)])
    async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        for one in await received(receiver, LETTERS):
            await receiver.dead_letter_message(one, reason="for-a-test")
    async with app.bus.get_queue_receiver(SONG_COMMANDS, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
        found = sorted(await received(receiver, LETTERS), key=lambda one: one.sequence_number or 0)
        for place, one in enumerate(found):
            await (receiver.complete_message(one) if place in GONE else receiver.abandon_message(one))
    return [one.sequence_number or 0 for place, one in enumerate(found) if place not in GONE]


async def test_every_reader_of_dead_letters_gives_the_same_answer_each_time(app: App, letters: list[int]) -> None:
    now = lambda: datetime.now(UTC)  # noqa: E731 - a clock
    audit = AuditLog(cosmos.container(app.cosmos, DATABASE, AUDIT))
    command = DeadLetters(app.bus, app.ingestions, None, audit, now, lambda: "id", "tests")
    # Only its search is asked for, which needs no hands.
    work: Any = None
    reconciler = Reconciler(app.bus, app.ingestions, AudioStore(app.blobs), work, now, ReconcilerConfig())
    bus = read_servicebus(app.environment)
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    async with AsyncExitStack() as stack:
        api = create(read_cosmos(app.environment), read_blobs(app.environment), bus=bus)
        await stack.enter_async_context(api.router.lifespan_context(api))
        transport = httpx.ASGITransport(api)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://songline"))
        for _ in range(ASKED):
            answer = (await client.get("/v1/deadletters")).json()
            assert ([letter["number"] for letter in answer["letters"]], answer["more"]) == (letters[:PEEKED], True)
            assert [letter.number for letter in await command.read()] == letters
            found = await reconciler._dead_letters({f"l-{number}" for number in range(LETTERS)})
            assert set(found) == {f"l-{number}" for number in range(LETTERS) if number not in GONE}
            assert await _dead_letters(bus) == DeadLetterFacts(len(letters), more=False)


async def test_peeking_begins_with_the_oldest_whatever_the_receiver_peeked_or_received_before(app: App) -> None:
    async with app.bus.get_queue_sender(SONG_COMMANDS) as sender:
        await sender.send_messages([ServiceBusMessage(b"", message_id=f"p-{number}") for number in range(5)])
    async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        for page in (1, 2, 5, 250):
            assert [one.message_id async for one in peeked(receiver, page)] == [f"p-{number}" for number in range(5)]
        (first,) = await received(receiver, 1)
        # Locked, it is there still.
        assert [one.message_id async for one in peeked(receiver, 2)] == [f"p-{number}" for number in range(5)]
        await receiver.complete_message(first)
        assert [one.message_id async for one in peeked(receiver, 2)] == [f"p-{number}" for number in range(1, 5)]
