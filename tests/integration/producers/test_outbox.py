"""EventPublisher with an outbox: accepted means in the hub or on disk, and in the hub in the end."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from songline.producers import EventPublisher, OutboxFullError, OutboxLockedError
from songline.producers.publishing.errors import TransientError
from songline.producers.publishing.spillover import Spillover
from songline.schemas.envelope import Event, decode, encode
from songline.schemas.events import SongLiked
from tests.integration.producers.reading import read_all
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

# The SDK drops the transport of a connection that broke without closing it; only the garbage collector sees it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
USERS = 8


def like(number: int) -> Event:
    user = f"user-{number % USERS}"
    return Event(id=f"e-{number}", source="/tests", time=NOW, data=SongLiked(user_id=user, song_id=f"song-{number}"))


@asynccontextmanager
async def publisher(
    cloud: LocalCloud, outbox: Path, *, max_events: int = 1_000_000, spill_after_s: float = 1.0
) -> AsyncIterator[EventPublisher]:
    opened = EventPublisher(
        cloud.settings().eventhubs,
        outbox=outbox,
        outbox_events=max_events,
        spill_after_s=spill_after_s,
        now=lambda: NOW,
    )
    async with opened:
        yield opened


async def publish(out: EventPublisher, numbers: range) -> set[str]:
    return set(await asyncio.gather(*(out.publish(like(number)) for number in numbers)))


async def assert_there_in_order(cloud: LocalCloud, numbers: range) -> None:
    found: dict[str, list[int]] = defaultdict(list)
    for partition in await read_all(cloud):
        for _, value in partition:
            event = decode(value)
            found[event.partition_key].append(int(event.id.removeprefix("e-")))
    for user, seen in found.items():
        first = list(dict.fromkeys(seen))
        assert first == sorted(first), user
        # What came twice must not end in an older state.
        assert seen[-1] == max(seen), user
    assert sorted({number for seen in found.values() for number in seen}) == list(numbers)


async def test_what_is_accepted_while_the_hub_is_away_is_sent_when_it_is_back(
    localcloud: LocalCloud, tmp_path: Path
) -> None:
    # A busy machine may be slow to open links; that alone must not send events over the disk here.
    async with publisher(localcloud, tmp_path / "outbox.db", spill_after_s=60) as out:
        assert await publish(out, range(100)) == {"sent"}
        await asyncio.to_thread(localcloud.kill)
        assert await publish(out, range(100, 400)) == {"kept"}
        assert await publish(out, range(400, 500)) == {"kept"}
        seen = out.statistics()
        assert (seen.outbox_events, seen.outbox_oldest) == (400, NOW.timestamp())
        await asyncio.to_thread(localcloud.start)

        async def is_direct_again() -> bool:
            return await out.publish(like(500 + out.statistics().accepted)) == "sent"

        await wait_for_async(is_direct_again, "events that go straight to the hub again")
        seen = out.statistics()
        assert (seen.outbox_events, seen.outbox_bytes, seen.buffered, seen.failed) == (0, 0, 0, 0)
    accepted = seen.accepted
    assert accepted == seen.sent
    found = {decode(value).id for partition in await read_all(localcloud) for _, value in partition}
    assert len(found) == accepted
    assert {f"e-{number}" for number in range(500)} <= found


async def test_the_next_process_sends_what_the_last_one_accepted(localcloud: LocalCloud, tmp_path: Path) -> None:
    await asyncio.to_thread(localcloud.kill)
    async with publisher(localcloud, tmp_path / "outbox.db") as out:
        assert await publish(out, range(300)) == {"kept"}
        with pytest.raises(OutboxLockedError):
            async with publisher(localcloud, tmp_path / "outbox.db"):
                pass
    await asyncio.to_thread(localcloud.start)
    async with publisher(localcloud, tmp_path / "outbox.db") as out:
        assert await publish(out, range(300, 400)) <= {"sent", "kept"}

        async def is_empty() -> bool:
            return out.statistics().buffered == 0

        await wait_for_async(is_empty, "an empty outbox")
    await assert_there_in_order(localcloud, range(400))


async def test_closing_keeps_what_the_hub_has_not_taken(localcloud: LocalCloud, tmp_path: Path) -> None:
    async with publisher(localcloud, tmp_path / "outbox.db") as out:
        await publish(out, range(10))
        await asyncio.to_thread(localcloud.kill)
        late = [await out.submit(*encoded(number)) for number in range(10, 20)]
    assert {done.result() for done in late} == {"kept"}
    await asyncio.to_thread(localcloud.start)
    async with publisher(localcloud, tmp_path / "outbox.db") as out:
        assert await out.publish(like(20)) in ("sent", "kept")

        async def is_empty() -> bool:
            return out.statistics().buffered == 0

        await wait_for_async(is_empty, "an empty outbox")
    await assert_there_in_order(localcloud, range(21))


async def test_a_full_outbox_says_so_and_what_it_has_is_kept(localcloud: LocalCloud, tmp_path: Path) -> None:
    await asyncio.to_thread(localcloud.kill)
    async with publisher(localcloud, tmp_path / "outbox.db", max_events=50) as out:
        assert await publish(out, range(50)) == {"kept"}
        with pytest.raises(OutboxFullError, match=r"saw 50 events.*see why the hub is away") as caught:
            await out.publish(like(50))
        assert isinstance(caught.value, TransientError)
        assert out.statistics().outbox_events == 50
    await asyncio.to_thread(localcloud.start)
    async with publisher(localcloud, tmp_path / "outbox.db") as out:

        async def is_empty() -> bool:
            return out.statistics().buffered == 0

        await wait_for_async(is_empty, "an empty outbox")
    await assert_there_in_order(localcloud, range(50))


def encoded(number: int) -> tuple[bytes, str]:
    return encode(like(number)), like(number).partition_key


async def test_who_publishes_while_neither_hub_nor_disk_takes_events_learns_it_at_once(
    localcloud: LocalCloud, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    async with publisher(localcloud, tmp_path / "outbox.db") as out:

        async def is_sent() -> bool:
            try:
                return await out.publish(like(1_000)) == "sent"
            except TransientError:
                return False

        await wait_for_async(is_sent, "the hub")
        storage = out._spillover
        assert storage is not None
        for number in (1, 2):
            await asyncio.to_thread(localcloud.kill)
            # What the file system says when it is full, SQLite says of a file that may not grow.
            await limited(storage, 0)
            began = loop.time()
            numbers = range(number * 1_000, number * 1_000 + 300)
            asked = await asyncio.gather(*(out.publish(like(each)) for each in numbers), return_exceptions=True)
            # What fits into the pages that it has is kept.
            refused = [answer for answer in asked if answer != "kept"]
            assert refused
            assert {type(answer) for answer in refused} == {OutboxFullError}
            assert "make room on the disk" in str(refused[0])
            assert loop.time() - began < 30, "the hub is waited for"
            await limited(storage, 1 << 20)
            await asyncio.to_thread(localcloud.start)
            await wait_for_async(is_sent, "the hub")
    assert sum("make room on the disk" in record.message for record in caplog.records) <= 2


async def limited(storage: Spillover, pages: int) -> None:
    """Let the outbox's file have so many pages, and no fewer than it has."""

    def limit() -> None:
        storage.outbox._database.execute(f"PRAGMA max_page_count={max(pages, 1)}")

    await asyncio.get_running_loop().run_in_executor(storage._thread, limit)
