"""Questions about a hub go over one connection, which is opened again when it was cut or is old."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError

from songline.cloud import eventhub_metadata, eventhubs
from songline.cloud.settings import EVENTHUB_CONNECTION, read_eventhubs
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.schemas.channels import MUSIC_EVENTS
from tests.support.localcloud import LocalCloud
from tests.support.proxy import CuttingProxy
from tests.support.waiting import wait_for_async

PARTITION = "2"


class CountingProxy(CuttingProxy):
    """Counts the connections that were made. At its end none of them is left."""

    made = 0

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await wait_for_async(self._is_empty, "connections to end", 60)

    async def close(self) -> None:
        """Refuse connections, and reset those that there are."""
        self._server.close()
        self.cut()

    async def reopen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _is_empty(self) -> bool:
        return not self._writers

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        await super()._serve(reader, writer)


@asynccontextmanager
async def hub_behind(cloud: LocalCloud) -> AsyncIterator[tuple[CountingProxy, HubMetadata]]:
    async with CountingProxy(cloud.ports["eventhubs"]) as proxy:
        environment = with_port(cloud, proxy.port)
        async with eventhubs.consumer(read_eventhubs(environment), MUSIC_EVENTS, "$Default", retry_total=0) as client:
            yield proxy, HubMetadata(client)


def with_port(cloud: LocalCloud, port: int) -> Mapping[str, str]:
    told = cloud.environment[EVENTHUB_CONNECTION]
    return {**cloud.environment, EVENTHUB_CONNECTION: told.replace(str(cloud.ports["eventhubs"]), str(port))}


async def test_questions_share_a_connection_and_answers_are_new(shared_localcloud: LocalCloud) -> None:
    async with (
        hub_behind(shared_localcloud) as (proxy, hub),
        eventhubs.producer(read_eventhubs(shared_localcloud.environment), MUSIC_EVENTS) as producer,
    ):
        described = await hub.describe()
        partitions = sorted(described.partitions)
        # Asked at once, as the partitions of a worker are.
        before = await asyncio.gather(*(hub.read_ends(one) for one in partitions))
        await producer.send_batch([EventData("one"), EventData("two")], partition_id=PARTITION)
        after = await asyncio.gather(*(hub.read_ends(one) for one in partitions))
        grown = {one: last[1] - first[1] for one, first, last in zip(partitions, before, after, strict=True)}
        assert grown == {one: 2 if one == PARTITION else 0 for one in partitions}
        state = await hub.read_state(PARTITION)
        assert abs(state.created_at - described.created_at) < timedelta(seconds=1)
        assert proxy.made == 1


async def test_a_cut_link_is_opened_anew_and_no_question_fails(shared_localcloud: LocalCloud) -> None:
    async with hub_behind(shared_localcloud) as (proxy, hub):
        expected = await hub.read_ends(PARTITION)
        for _ in range(3):
            assert proxy.cut()
            assert await hub.read_ends(PARTITION) == expected
            assert (await hub.describe()).partitions


async def test_an_old_link_is_not_used_again(shared_localcloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventhub_metadata, "KEPT_S", 0.0)
    async with hub_behind(shared_localcloud) as (proxy, hub):
        for count in range(1, 4):
            await hub.describe()
            assert proxy.made == count


async def test_a_link_is_opened_anew_before_the_sdk_has_no_room_for_answers(
    shared_localcloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azure.eventhub._pyamqp.aio._link_async.DEFAULT_LINK_CREDIT", 5)
    monkeypatch.setattr(eventhub_metadata, "ANSWERS_MAX", 4)
    # An answer for which there is no room never comes.
    monkeypatch.setattr(eventhub_metadata, "ANSWER_S", 30.0)
    async with hub_behind(shared_localcloud) as (proxy, hub):
        for _ in range(10):
            await hub.describe()
        assert proxy.made == 3


async def test_a_question_that_is_given_up_leaves_the_link_in_order(shared_localcloud: LocalCloud) -> None:
    async with hub_behind(shared_localcloud) as (_, hub):
        expected = await hub.read_ends(PARTITION)
        for turns in range(12):
            asked = asyncio.create_task(hub.describe())
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.wait((asked,))
            assert await hub.read_ends(PARTITION) == expected


async def test_questions_that_come_while_the_client_is_closed_leave_no_connection(
    shared_localcloud: LocalCloud,
) -> None:
    async with hub_behind(shared_localcloud) as (proxy, hub):
        await hub.describe()
        # One is asked; the client's end waits for it, and the others for that.
        asked = [asyncio.create_task(hub.describe())]
        await asyncio.sleep(0)
        closing = asyncio.create_task(hub._client.close())
        await asyncio.sleep(0)
        asked += [asyncio.create_task(hub.describe()) for _ in range(2)]
        await closing
        await asyncio.wait(asked)
        await wait_for_async(proxy._is_empty, "connections to end", 60)
    for one in asked:
        assert one.exception() is None or isinstance(one.exception(), EventHubError)


async def test_what_the_hub_refuses_is_said_as_the_sdk_does(shared_localcloud: LocalCloud) -> None:
    async with hub_behind(shared_localcloud) as (_, hub):
        await hub.describe()
        with pytest.raises(EventHubError):
            await hub.read_ends("999")
        assert (await hub.describe()).partitions


async def test_a_hub_that_is_away_is_an_error_until_it_is_back(shared_localcloud: LocalCloud) -> None:
    async with hub_behind(shared_localcloud) as (proxy, hub):
        await hub.describe()
        await proxy.close()
        with pytest.raises(EventHubError):
            await hub.describe()
        await proxy.reopen()

        async def is_back() -> bool:
            try:
                return bool((await hub.describe()).partitions)
            except EventHubError:
                return False

        await wait_for_async(is_back, "the hub to answer again", 60)
