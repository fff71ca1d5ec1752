"""EventPublisher over the real SDK: kept, in order, bounded, and loud about what isn't."""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver

from songline.cloud.settings import EVENTHUB_CONNECTION, read_eventhubs
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.producers.publishing.publisher import EventPublisher
from songline.schemas.acceptance import MAX_EVENT_BYTES
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.errors import ContractViolationError
from songline.schemas.events import SongLiked, SongPlayed
from tests.integration.producers.reading import read_all
from tests.support.localcloud import LocalCloud, nobody
from tests.support.waiting import wait_for_async

# The SDK drops the transport of a connection that broke without closing it; only the garbage collector sees it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)


def like(user: str, number: int) -> Event:
    return Event(
        id=f"{user}-{number}",
        source="/tests",
        time=NOW,
        data=SongLiked(user_id=user, song_id=f"song-{number}"),
    )


def play(region: str) -> Event:
    data = SongPlayed(user_id="user", song_id="song", played_ms=1, duration_ms=2, region=region)
    return Event(id="play", source="/tests", time=NOW, data=data)


def publisher(cloud: LocalCloud, *, patience_s: float = 30.0, buffer_events: int = 10_000) -> EventPublisher:
    return EventPublisher(
        cloud.settings().eventhubs, patience_s=patience_s, buffer_events=buffer_events, now=lambda: NOW
    )


async def numbers_by_user(cloud: LocalCloud) -> dict[str, list[int]]:
    """The likes in the hub: for each user, in which order they are there."""
    found: dict[str, list[int]] = defaultdict(list)
    for partition in await read_all(cloud):
        here = [decode(value) for _, value in partition]
        for event in here:
            found[event.partition_key].append(int(event.data.song_id.removeprefix("song-")))
    return found


async def test_what_is_published_is_there_with_its_key_on_the_listeners_partition(localcloud: LocalCloud) -> None:
    events = [like(f"user-{number % 40}", number) for number in range(400)]
    async with publisher(localcloud) as out:
        await asyncio.gather(*(out.publish(event) for event in events))
        statistics = out.statistics()
    assert (statistics.accepted, statistics.sent, statistics.failed, statistics.buffered) == (400, 400, 0, 0)
    # Lanes batch: far fewer batches than events.
    assert statistics.batches <= 40
    partitions = await read_all(localcloud)
    resolver = PartitionResolver([str(number) for number in range(len(partitions))])  # type: ignore[no-untyped-call]
    assert sum(map(len, partitions)) == 400
    assert all(partitions)
    for number, partition in enumerate(partitions):
        for key, value in partition:
            event = decode(value)
            assert key == event.partition_key.encode()
            assert resolver.get_partition_id_by_partition_key(event.partition_key) == str(number)  # type: ignore[no-untyped-call]


async def test_a_single_event_does_not_wait_for_company(shared_localcloud: LocalCloud) -> None:
    settings = shared_localcloud.settings().eventhubs
    slow = EventPublisher(settings, linger_ms=600_000, batch_events=2, now=lambda: NOW)
    async with publisher(shared_localcloud) as out, slow:
        waiting = asyncio.create_task(slow.publish(like("slow", 1)))
        async with asyncio.timeout(60):
            assert await out.publish(like("alone", 1)) == "sent"
        # A publisher that lingers for ten minutes does wait for company, and goes with it.
        assert not waiting.done()
        async with asyncio.timeout(60):
            assert await slow.publish(like("slow", 2)) == "sent"
            assert await waiting == "sent"
        assert (out.statistics().batches, slow.statistics().batches) == (1, 1)


async def test_order_holds_and_nothing_is_lost_when_the_hub_is_killed_under_load(localcloud: LocalCloud) -> None:
    users, each = 30, 200
    async with publisher(localcloud, buffer_events=500) as out:

        async def listen(user: str) -> None:
            for number in range(each):
                await out.publish(like(user, number))

        async def kill_twice() -> None:
            for part in (1, 2):

                async def far_enough(part: int = part) -> bool:
                    return out.statistics().sent >= part * users * each // 3

                await wait_for_async(far_enough, "a third of the events")
                await asyncio.to_thread(localcloud.restart)

        await asyncio.gather(kill_twice(), *(listen(f"user-{user}") for user in range(users)))
        assert out.statistics().sent == users * each
    found = await numbers_by_user(localcloud)
    assert len(found) == users
    for numbers in found.values():
        # An acknowledgement that was lost with the connection makes a duplicate, of an event that was sent once more
        # with its whole batch: without the repeats the order is as published.
        assert list(dict.fromkeys(numbers)) == list(range(each))


async def test_the_buffer_is_bounded_and_publish_waits(localcloud: LocalCloud) -> None:
    async with publisher(localcloud, buffer_events=50) as out:
        await out.publish(like("user", 0))
        localcloud.kill()
        waiting = [asyncio.create_task(out.publish(like(f"user-{number % 7}", number))) for number in range(1, 201)]

        async def is_full() -> bool:
            return out.statistics().buffered >= 50

        await wait_for_async(is_full, "a full buffer")
        # Every task has run as far as it can by now, and no more than the buffer holds were let in.
        await asyncio.sleep(0)
        assert out.statistics().accepted == 51
        assert not any(task.done() for task in waiting)
        await asyncio.to_thread(localcloud.start)
        await asyncio.gather(*waiting)
        assert out.statistics().sent == 201
    found = await numbers_by_user(localcloud)
    assert {number for numbers in found.values() for number in numbers} == set(range(201))


async def test_close_sends_what_is_left(localcloud: LocalCloud) -> None:
    out = EventPublisher(localcloud.settings().eventhubs, linger_ms=60_000, now=lambda: NOW)
    async with out:
        done = [await out.submit(encode(like(f"user-{number}", number)), f"user-{number}") for number in range(100)]
        assert out.statistics().sent == 0
    assert all(each.done() and each.exception() is None for each in done)
    assert sum(map(len, await read_all(localcloud))) == 100


async def test_what_close_can_not_send_fails_loudly(localcloud: LocalCloud) -> None:
    out = publisher(localcloud, patience_s=0.5)
    with pytest.raises(TransientError, match="3 events"):
        async with out:
            localcloud.kill()
            done = [await out.submit(encode(like("user", number)), "user") for number in range(3)]
    for each in done:
        assert isinstance(each.exception(), TransientError)


@contextmanager
def hanging(cloud: LocalCloud) -> Iterator[None]:
    """The hub takes connections, and answers nothing."""
    os.kill(cloud.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(cloud.pid, signal.SIGCONT)


async def test_a_hub_that_hangs_is_broken_after_patience_and_found_again(localcloud: LocalCloud) -> None:
    async with asyncio.timeout(90):
        with hanging(localcloud), pytest.raises(TransientError, match="try again later"):
            async with publisher(localcloud, patience_s=0.5):
                pass
        async with publisher(localcloud, patience_s=0.5) as out:
            await out.publish(like("user", 0))
            with hanging(localcloud), pytest.raises(TransientError, match="try again later"):
                await out.publish(like("user", 1))
            assert await out.publish(like("user", 2)) == "sent"
    # What was given up may be there, and behind what came after it: its sender has been told.
    assert {0, 2} <= set((await numbers_by_user(localcloud))["user"]) <= {0, 1, 2}


async def test_a_hub_that_hangs_holds_up_no_close(localcloud: LocalCloud) -> None:
    out = publisher(localcloud, patience_s=3_600)
    async with asyncio.timeout(90), out:
        await out.publish(like("user", 0))
        with hanging(localcloud):
            # More than the connections hold.
            done = [await out.submit(encode(like("user", number)) + b" " * 8_000, "user") for number in range(1, 1_000)]
            with pytest.raises(TransientError, match="999 events"):
                await out.close(0.5)
    for each in done:
        assert isinstance(each.exception(), TransientError)


async def test_after_an_event_was_given_up_the_next_ones_go_through(localcloud: LocalCloud) -> None:
    async with publisher(localcloud, patience_s=0.5) as out:
        localcloud.kill()
        with pytest.raises(TransientError, match="try again later"):
            await out.publish(like("user", 1))
        await asyncio.to_thread(localcloud.start)
        await out.publish(like("user", 2))
    assert (await numbers_by_user(localcloud))["user"] == [2]


async def test_cancelling_one_publish_harms_no_other(localcloud: LocalCloud) -> None:
    async with publisher(localcloud, buffer_events=20) as out:
        localcloud.kill()
        tasks = [asyncio.create_task(out.publish(like("user", number))) for number in range(40)]

        async def is_full() -> bool:
            return out.statistics().buffered >= 20

        await wait_for_async(is_full, "a full buffer")
        # One that is in the buffer, and one that waits for room.
        tasks[3].cancel()
        tasks[30].cancel()
        await asyncio.to_thread(localcloud.start)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [number for number, outcome in enumerate(outcomes) if outcome != "sent"] == [3, 30]
    found = (await numbers_by_user(localcloud))["user"]
    assert set(range(40)) - set(found) == {30}


async def test_what_breaks_the_contract_is_refused_and_the_rest_goes_through(shared_localcloud: LocalCloud) -> None:
    async with publisher(shared_localcloud) as out:
        with pytest.raises(ContractViolationError, match=r"data\.region"):
            await out.publish(play("XX"))
        with pytest.raises(ContractViolationError, match="at most 10240 bytes"):
            await out.publish_bytes(b"x" * (MAX_EVENT_BYTES + 1), "user")
        await out.publish(play("DE"))
        assert out.statistics().accepted == 1


async def test_a_wrong_key_or_hub_is_the_operators(shared_localcloud: LocalCloud) -> None:
    wrong_key = shared_localcloud.eventhub_connection_string.replace(shared_localcloud.keys.sas, "wrong")
    with pytest.raises(AccessDeniedError, match="check the connection string"):
        async with EventPublisher(read_eventhubs({EVENTHUB_CONNECTION: wrong_key})):
            pass
    with pytest.raises(AccessDeniedError, match="no-such-hub"):
        async with EventPublisher(shared_localcloud.settings().eventhubs, "no-such-hub"):
            pass


async def test_no_hub_at_all_is_broken_after_patience(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="try again later"):
        async with publisher(nobody(tmp_path), patience_s=0.3):
            pass


async def test_publishing_outside_the_block_is_told(shared_localcloud: LocalCloud) -> None:
    out = publisher(shared_localcloud)
    with pytest.raises(RuntimeError, match="not open"):
        await out.publish(like("user", 1))
    async with out:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        await out.publish(like("user", 1))
