"""The product's clients on a localcloud that behaves as Azure: TLS, WebSockets, managed identities, no keys."""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from azure.core.exceptions import AzureError, HttpResponseError
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import MessageSizeExceededError
from msgspec import structs

from localcloud.testing.cloud import ControlError
from songline.cloud import blobs, checkpoints, clock, cosmos, eventhubs, kafka, servicebus
from songline.cloud.credentials import EntraCredential, entra
from songline.cloud.service_fault import is_denied
from songline.cloud.settings import (
    EVENTHUB_NAMESPACE,
    WEBSOCKETS,
    read_blobs,
    read_cosmos,
    read_eventhubs,
    read_servicebus,
)
from songline.processes.azure_like import declare_containers
from songline.processes.entities import CONTAINERS
from songline.processes.managed_identity import COMMANDS
from songline.schemas.channels import CHECKPOINT_BLOBS, DATABASE, HUBS, MUSIC_EVENTS, SONG_COMMANDS
from tests.support.azure_like import AzureLikeCloud
from tests.support.waiting import wait_for_async

DEADLINE_S = 60.0
EVENTHUBS_SCOPE = "https://eventhubs.azure.net//.default"
SHORT_S = 12
"""How long tokens are good in the long test; many of them end while it runs."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureLikeCloud]:
    started = AzureLikeCloud(tmp_path_factory.mktemp("azure")).start()
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def _own_tokens() -> Iterator[None]:
    entra.cache_clear()
    yield
    entra.cache_clear()


async def send_and_read(environ: Mapping[str, str], text: str) -> None:
    """Publish over AMQP, and read it again at its position, over AMQP and over Kafka."""
    settings = read_eventhubs(environ)
    async with eventhubs.consumer(settings, MUSIC_EVENTS, "$Default") as consumer:
        last = (await consumer.get_partition_properties("0"))["last_enqueued_sequence_number"]
        async with eventhubs.producer(settings, MUSIC_EVENTS) as producer:
            await producer.send_batch([EventData(text)], partition_id="0")
        read: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def on_event(context: Any, event: EventData | None) -> None:
            if event is not None and not read.done():
                read.set_result(event.body_as_str())

        receiving = asyncio.create_task(
            consumer.receive(on_event, partition_id="0", starting_position=last, max_wait_time=1)
        )
        try:
            assert await asyncio.wait_for(read, DEADLINE_S) == text
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
    async with AIOKafkaConsumer(**kafka.client_options(settings)) as over_kafka:
        place = TopicPartition(MUSIC_EVENTS, 0)
        over_kafka.assign([place])
        over_kafka.seek(place, last + 1)
        assert (await asyncio.wait_for(over_kafka.getone(), DEADLINE_S)).value == text.encode()


async def send_command(environ: Mapping[str, str]) -> None:
    settings = read_servicebus(environ)
    async with servicebus.client(settings) as bus:
        async with bus.get_queue_sender(SONG_COMMANDS) as sender:
            await sender.send_messages(ServiceBusMessage("a command"))
        async with bus.get_queue_receiver(SONG_COMMANDS) as receiver:
            (message,) = await receiver.receive_messages(max_wait_time=DEADLINE_S)
            assert str(message) == "a command"
            await receiver.complete_message(message)
    async with servicebus.administration(settings) as administration:
        assert (await administration.get_queue(SONG_COMMANDS)).name == SONG_COMMANDS


async def keep(environ: Mapping[str, str], name: str) -> None:
    """Write and read an item and a blob, and the checkpoint store."""
    async with cosmos.client(read_cosmos(environ)) as account:
        await cosmos.ensure(account, DATABASE, CONTAINERS)
        first = CONTAINERS[0]
        items = cosmos.container(account, DATABASE, first.name)
        item = {"id": name, first.partition_key.strip("/"): name}
        await items.upsert_item(item)
        assert (await items.read_item(name, name))["id"] == name
    settings = read_blobs(environ)
    async with blobs.client(settings) as storage:
        await blobs.ensure(storage, (CHECKPOINT_BLOBS,))
        blob = storage.get_blob_client(CHECKPOINT_BLOBS, name)
        await blob.upload_blob(b"held", overwrite=True)
        assert await (await blob.download_blob()).readall() == b"held"
    async with checkpoints.store(settings, CHECKPOINT_BLOBS) as store:
        assert list(await store.list_checkpoints(environ[EVENTHUB_NAMESPACE], MUSIC_EVENTS, "nobody")) == []


@pytest.mark.parametrize("websockets", ["off", "on"])
async def test_events_and_commands_go_over_tls_by_identity(cloud: AzureLikeCloud, websockets: str) -> None:
    environ = {**cloud.environment, WEBSOCKETS: websockets}
    with cloud.acting_as(COMMANDS):
        await send_and_read(environ, f"over WebSockets: {websockets}")
        await send_command(environ)


async def test_items_and_blobs_are_kept_by_identity(cloud: AzureLikeCloud) -> None:
    assert cloud.keys.control is not None
    declare_containers(f"http://127.0.0.1:{cloud.ports['control']}", cloud.keys.control)
    with cloud.acting_as(COMMANDS):
        await keep(cloud.environment, "by-identity")
        assert abs(await clock.measure_skew_s(read_cosmos(cloud.environment), lambda: datetime.now(UTC))) < DEADLINE_S


async def test_a_process_may_do_what_its_roles_allow(cloud: AzureLikeCloud) -> None:
    with cloud.acting_as("simulator"):
        settings = read_eventhubs(cloud.environment)
        async with eventhubs.producer(settings, MUSIC_EVENTS, retry_total=0) as producer:
            await producer.send_batch([EventData("simulated")])
        account = cosmos.client(read_cosmos(cloud.environment))
        with pytest.raises(CosmosHttpResponseError) as refused:
            await account.__aenter__()
        await account.close()
        assert (refused.value.status_code, refused.value.sub_status) == (403, 5301)


async def test_a_container_that_a_token_can_not_create_is_asked_of_who_can(cloud: AzureLikeCloud) -> None:
    assert cloud.keys.control is not None
    declare_containers(f"http://127.0.0.1:{cloud.ports['control']}", cloud.keys.control)
    missing = structs.replace(CONTAINERS[0], name="charts-of-a-rebuild", ttl=60)
    with cloud.acting_as(COMMANDS):
        async with cosmos.client(read_cosmos(cloud.environment)) as account:
            with pytest.raises(cosmos.NotByTokenError) as refused:
                await cosmos.ensure(account, DATABASE, (missing,))
    assert is_denied(refused.value)
    # What it says is done to the letter, and it goes on.
    told = re.search(r"http://127\.0\.0\.1:PORT(\S+) -d '(\{.*\})', where KEY", str(refused.value))
    assert told is not None
    answer = await asyncio.to_thread(
        httpx.post,
        f"http://127.0.0.1:{cloud.ports['control']}{told[1]}",
        content=told[2],
        headers={"Authorization": f"Bearer {cloud.keys.control}"},
        timeout=DEADLINE_S,
    )
    assert answer.status_code == 201
    with cloud.acting_as(COMMANDS):
        async with cosmos.client(read_cosmos(cloud.environment)) as account:
            await cosmos.ensure(account, DATABASE, (missing,))


async def test_a_container_that_a_token_can_not_delete_is_asked_of_who_can(cloud: AzureLikeCloud) -> None:
    assert cloud.keys.control is not None
    address = f"http://127.0.0.1:{cloud.ports['control']}"
    declare_containers(address, cloud.keys.control)
    name = CONTAINERS[1].name
    with cloud.acting_as(COMMANDS):
        async with cosmos.client(read_cosmos(cloud.environment)) as account:
            with pytest.raises(cosmos.NotByTokenError) as refused:
                await cosmos.delete(account, DATABASE, name)
            told = re.search(r"-X DELETE .* http://127\.0\.0\.1:PORT(\S+), where KEY", str(refused.value))
            assert told is not None
            authorized = {"Authorization": f"Bearer {cloud.keys.control}"}
            answer = await asyncio.to_thread(
                httpx.delete, f"{address}{told[1]}", headers=authorized, timeout=DEADLINE_S
            )
            assert answer.status_code == 204
            assert not await cosmos.exists(account, DATABASE, name)
            await cosmos.delete(account, DATABASE, name)
    declare_containers(address, cloud.keys.control)


async def test_limits_are_those_of_the_tier_standard(cloud: AzureLikeCloud) -> None:
    with cloud.acting_as(COMMANDS):
        settings = read_servicebus(cloud.environment)
        async with servicebus.client(settings) as bus, bus.get_queue_sender(SONG_COMMANDS) as sender:
            # What is declared for localcloud is 100 MB.
            with pytest.raises(MessageSizeExceededError):
                await sender.send_messages(ServiceBusMessage(b"x" * 300_000))
        async with servicebus.administration(settings) as administration:
            with pytest.raises(HttpResponseError) as refused:
                await administration.create_queue("large", max_message_size_in_kilobytes=1024)
            assert refused.value.status_code == 400
    made = [f"more-{number}" for number in range(10 - len(HUBS))]
    for name in made:
        cloud.control("PUT", f"/hubs/{name}", {"partitions": 1})
    try:
        with pytest.raises(ControlError, match="11 hubs; expected 10"):
            cloud.control("PUT", "/hubs/one-too-many", {"partitions": 1})
        with pytest.raises(ControlError, match="keeps the partitions"):
            cloud.control("PUT", f"/hubs/{MUSIC_EVENTS}", {"partitions": 8})
    finally:
        for name in made:
            cloud.control("DELETE", f"/hubs/{name}")


async def test_keys_open_nothing(cloud: AzureLikeCloud) -> None:
    environ = cloud.keyed_environment
    async with eventhubs.producer(read_eventhubs(environ), MUSIC_EVENTS, retry_total=0) as producer:
        with pytest.raises(EventHubError):
            await producer.send_batch([EventData("by key")])
    account = cosmos.client(read_cosmos(environ))
    with pytest.raises(AzureError, match="Local Authorization is disabled"):
        await account.__aenter__()
    await account.close()


async def test_tokens_are_fetched_anew_while_clients_stay(tmp_path: Path) -> None:
    short = tmp_path / "short.json"
    short.write_text(json.dumps({"AccessTokenSeconds": SHORT_S}))
    cloud = AzureLikeCloud(tmp_path / "cloud", f"--identity-config={short}").start()
    try:
        with cloud.acting_as(COMMANDS):
            await _work_with(cloud, 6)
    finally:
        cloud.stop()


async def _work_with(cloud: AzureLikeCloud, tokens: int) -> None:
    """Send over clients that stay, more often than tokens end and less often, until the process has had so many for
    Event Hubs; all that was sent is there once."""
    environ = cloud.environment
    settings = read_eventhubs(environ)
    assert cloud.keys.control is not None
    declare_containers(f"http://127.0.0.1:{cloud.ports['control']}", cloud.keys.control)
    sent = 0
    seen: set[str] = set()
    async with (
        eventhubs.producer(settings, MUSIC_EVENTS) as producer,
        kafka.producer(settings) as over_kafka,
        servicebus.client(read_servicebus(environ)) as bus,
        bus.get_queue_sender(SONG_COMMANDS) as sender,
        bus.get_queue_receiver(SONG_COMMANDS) as receiver,
        cosmos.client(read_cosmos(environ)) as account,
    ):
        items = cosmos.container(account, DATABASE, CONTAINERS[0].name)
        key = CONTAINERS[0].partition_key.strip("/")

        async def once(number: int) -> None:
            await producer.send_batch([EventData(f"amqp {number}")], partition_id="0")
            await over_kafka.send_and_wait(MUSIC_EVENTS, f"kafka {number}".encode(), partition=0)
            await sender.send_messages(ServiceBusMessage(str(number)))
            (message,) = await receiver.receive_messages(max_wait_time=DEADLINE_S)
            await receiver.complete_message(message)
            await items.upsert_item({"id": str(number), key: "a"})

        while len(seen) < tokens:
            await once(sent)
            seen.add((await entra().get_token(EVENTHUBS_SCOPE)).token)
            sent += 1
            # Now a pause within a token's time, now one that outlasts the tokens that the process has.
            if sent % 4:
                await asyncio.sleep(1.0)
            else:
                await _all_tokens_end()
    async with eventhubs.consumer(settings, MUSIC_EVENTS, "$Default") as consumer:
        properties = await consumer.get_partition_properties("0")
    assert properties["last_enqueued_sequence_number"] == 2 * sent - 1


async def _all_tokens_end() -> None:
    """Wait until each token that the process has now is over: one that is fetched now ends last."""
    newest = await EntraCredential().get_token(EVENTHUBS_SCOPE)

    async def has_ended() -> bool:
        return time.time() > newest.expires_on

    await wait_for_async(has_ended, "the end of all tokens")
