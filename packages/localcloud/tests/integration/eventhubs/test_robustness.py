"""Many clients, hostile clients, idle clients, and a server that is killed."""

import asyncio
import gc
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from azure.eventhub import EventData
from azure.eventhub._pyamqp.aio._connection_async import Connection
from azure.eventhub._pyamqp.aio._sasl_async import SASLAnonymousCredential

from localcloud.amqp.frames import SASL_HEADER
from localcloud.amqp.message import DATA, section
from localcloud.amqp.performatives import Attach, Close, Disposition, Source, Target, Transfer, read_composite
from localcloud.amqp.types import Uint
from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.eventhubs.conftest import write_config
from localcloud_tests.integration.eventhubs.hub import Hub, bodies
from localcloud_tests.support.amqp import RawClient


def send_raw(client: RawClient, number: int, body: bytes) -> None:
    client.send(
        Transfer(Uint(0), delivery_id=Uint(number), delivery_tag=b"t", message_format=Uint(0)), section(DATA, body)
    )


def attach_raw(client: RawClient, address: str) -> None:
    client.open()
    client.begin()
    client.attach(
        Attach("s", Uint(0), role=False, source=Source(), target=Target(address), initial_delivery_count=Uint(0))
    )


async def test_a_hundred_connections_send_at_once(hub: Hub) -> None:
    def talk() -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(RawClient(hub.port)) for _ in range(100)]
            for client in clients:
                attach_raw(client, f"{hub.name}/Partitions/0")
            for step in range(5):
                for number, client in enumerate(clients):
                    send_raw(client, step, f"{number}-{step}".encode())
            for client in clients:
                for _ in range(5):
                    client.expect(Disposition)

    await asyncio.to_thread(talk)
    received = bodies(await hub.receive(500, prefetch=1000))
    assert sorted(received) == sorted(f"{number}-{step}" for number in range(100) for step in range(5))
    for number in range(100):
        own = [body for body in received if body.startswith(f"{number}-")]
        assert own == [f"{number}-{step}" for step in range(5)]


async def test_hostile_bytes_on_the_port_do_not_disturb_others(hub: Hub) -> None:
    chance = random.Random(7)

    def attack() -> None:
        for _ in range(150):
            with RawClient(hub.port) as client:
                if chance.random() < 0.6:
                    client.open()
                    client.begin()
                try:
                    client.send_bytes(chance.randbytes(chance.randrange(1, 3000)))
                except OSError:
                    continue  # the server has hung up already, which is its right

    async with hub.producer() as producer:
        attacking = asyncio.create_task(asyncio.to_thread(attack))
        count = 0
        while not attacking.done() or count == 0:
            await producer.send_batch([EventData(str(count))], partition_id="0")
            count += 1
        await attacking
    assert bodies(await hub.receive(count)) == [str(number) for number in range(count)]


async def test_a_client_that_gives_up_while_it_connects_is_not_logged_as_faulty(hub: Hub) -> None:
    """A connection of Azure's SDK that is closed before it is open sends `close`, also in the middle of SASL."""
    heard = asyncio.Event()
    sent = bytearray()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def hold_answers_back(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", hub.port)
        while data := await client.read(1 << 16):
            sent.extend(data)
            to_server.write(data)
            heard.set()
        await from_server.read()  # up to the server's end
        address.set_result("{}:{}".format(*to_server.get_extra_info("sockname")))
        to_server.close()
        answers.close()

    async with await asyncio.start_server(hold_answers_back, "127.0.0.1", 0) as relay:
        port = relay.sockets[0].getsockname()[1]
        connection = Connection(f"amqp://127.0.0.1:{port}", sasl_credential=SASLAnonymousCredential(), use_tls=False)
        opening = asyncio.create_task(connection.open())
        await asyncio.wait_for(heard.wait(), 60)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await connection.close()
        client = await asyncio.wait_for(address, 60)
    assert sent.startswith(SASL_HEADER)
    assert isinstance(read_composite(bytes(sent[16:]))[0], Close)
    assert client not in hub.cloud.log()


async def test_a_producer_that_pauses_goes_on_without_reconnecting(hub: Hub) -> None:
    """Azure's SDK sends nothing while it has nothing to send, whatever idle time-out it was told."""
    async with hub.producer(retry_total=0) as producer:
        await producer.send_event(EventData("before"), partition_id="0")
        await hub.receive(1)  # takes a second or two
        await producer.send_event(EventData("after"), partition_id="0")
    assert bodies(await hub.receive(2)) == ["before", "after"]


async def test_what_was_acknowledged_is_there_after_a_kill(
    start_localcloud: Callable[..., LocalCloudProcess], tmp_path: Path
) -> None:
    config = write_config(tmp_path / "Config.json", ["hub"], partitions=1)
    cloud = start_localcloud("--config", str(config))
    hub = Hub(cloud, "hub")

    def send_until_killed() -> int:
        """How many events were acknowledged, one batch on its way at any time."""
        with RawClient(hub.port) as client:
            attach_raw(client, "hub/Partitions/0")
            killer = threading.Timer(1.0, cloud.kill)
            killer.start()
            count = 0
            try:
                while True:
                    send_raw(client, count, str(count).encode())
                    client.expect(Disposition)
                    count += 1
            except (AssertionError, OSError):  # the connection has ended
                killer.join()
                return count

    acknowledged = await asyncio.to_thread(send_until_killed)
    assert acknowledged > 10
    cloud.restart()
    received = bodies(await hub.receive(acknowledged, prefetch=5000))
    assert received[:acknowledged] == [str(number) for number in range(acknowledged)]


# Azure's SDK leaves its old socket to the garbage collector when the server goes away.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_clients_go_on_after_a_restart(
    start_localcloud: Callable[..., LocalCloudProcess], tmp_path: Path
) -> None:
    config = write_config(tmp_path / "Config.json", ["hub"], partitions=1)
    cloud = start_localcloud("--config", str(config))
    hub = Hub(cloud, "hub")
    connected = asyncio.Event()

    def enough(events: list[tuple[str, EventData]]) -> bool:
        connected.set()
        return len(events) >= 2

    async with hub.producer() as producer:
        await producer.send_batch([EventData("before")])
        receiving = asyncio.create_task(hub.listen(enough, retries=5))
        await asyncio.wait_for(connected.wait(), 60)
        await asyncio.to_thread(cloud.restart)
        await producer.send_batch([EventData("after")])
        events, _ = await receiving
    assert bodies(events) == ["before", "after"]
    gc.collect()
