"""The power goes at any moment of a commit: what the databases have acknowledged is there."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cosmos.storage import SqliteSession, Storage
from localcloud.servicebus import entities
from localcloud.servicebus.config import NamespaceConfig, QueueConfig
from localcloud.servicebus.errors import ServerBusyError
from localcloud.servicebus.message import BodyFile
from localcloud.servicebus.namespace import ServiceBusNamespace
from localcloud.servicebus.store import MessageStore
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.support.power_loss import SyncedDisk
from localcloud_tests.support.synced_sqlite import library, reporting_syncs
from localcloud_tests.unit.log.machine import temporary_folder
from localcloud_tests.unit.servicebus.builders import T0, content

pytestmark = pytest.mark.skipif(library() is None, reason="the module sqlite3 has SQLite built in: no sync can be seen")

INSERT = "INSERT OR REPLACE INTO items VALUES (7, ?, ?, ?, 0, ?, '', 0, NULL, ?, NULL)"
CONFIG = NamespaceConfig(queues=(QueueConfig("q", entities.QueueDescription(max_message_size_in_kilobytes=1024)),))


@effort(10)
@given(seed=st.integers(0, 2**32))
def test_documents(seed: int) -> None:
    chance = random.Random(seed)
    acknowledged: dict[str, str] = {}
    attempted: dict[str, set[str | None]] = {}
    with temporary_folder() as folder:
        folder.mkdir()
        disk = SyncedDisk(folder)
        try:
            for _ in range(3):
                with disk.watching(), reporting_syncs(disk.sync_by_sqlite):
                    asyncio.run(_write_documents(folder, disk, chance, acknowledged, attempted))
                disk.lose(chance)
                found = asyncio.run(_documents(folder))
                for key, tried in attempted.items():
                    assert found.get(key) in (tried or {acknowledged[key]}), key
                acknowledged, attempted = dict(found), {}
        finally:
            disk.close()


async def _write_documents(
    folder: Path,
    disk: SyncedDisk,
    chance: random.Random,
    acknowledged: dict[str, str],
    attempted: dict[str, set[str | None]],
) -> None:
    """Replace documents, several in a group; `attempted` has what may be found of each, if it was not acknowledged."""
    storage = Storage(folder)
    disk.steps, disk.fails_at = 0, chance.randrange(1, 40)

    async def replace(key: str, body: str) -> None:
        attempted.setdefault(key, {acknowledged.get(key)}).add(body)

        def job(session: SqliteSession) -> None:
            session.connection.execute(INSERT, (key, key, key, session.next_lsn(), body))

        await storage.write(job)
        acknowledged[key] = body
        attempted[key] = {body}

    with suppress(OSError, Exception):
        for _ in range(chance.randrange(1, 12)):
            keys = chance.sample("abcdefgh", chance.randrange(1, 4))
            bodies = [f"{chance.random()}" * chance.choice([1, 300]) for _ in keys]
            await asyncio.gather(*map(replace, keys, bodies))
    with suppress(Exception):
        await storage.close()


async def _documents(folder: Path) -> dict[str, str]:
    storage = Storage(folder)
    try:
        return dict(
            await storage.read(
                lambda session: session.connection.execute("SELECT id, body FROM items WHERE container = 7").fetchall()
            )
        )
    finally:
        await storage.close()


@effort(10)
@given(seed=st.integers(0, 2**32))
def test_messages(seed: int) -> None:
    chance = random.Random(seed)
    sent: dict[str, bytes] = {}
    settled: set[str] = set()
    unsure: set[str] = set()
    with temporary_folder() as folder:
        folder.mkdir()
        disk = SyncedDisk(folder)
        try:
            for _ in range(3):
                with disk.watching(), reporting_syncs(disk.sync_by_sqlite):
                    asyncio.run(_work_messages(folder, disk, chance, sent, settled, unsure))
                disk.lose(chance)
                found = asyncio.run(_messages(folder))
                certain = sent.keys() - settled - unsure
                assert certain <= found.keys()
                assert not found.keys() & (settled - unsure)
                assert found.items() <= sent.items()
                sent, settled, unsure = dict(found), set(), set()
        finally:
            disk.close()


async def _work_messages(
    folder: Path,
    disk: SyncedDisk,
    chance: random.Random,
    sent: dict[str, bytes],
    settled: set[str],
    unsure: set[str],
) -> None:
    """Send messages, with bodies in the database and in files, and take some."""
    new_id = lambda: UUID(int=chance.getrandbits(128))  # noqa: E731 - a source of ids
    namespace = ServiceBusNamespace(MessageStore(folder), CONFIG, lambda: T0, new_id)
    await namespace.__aenter__()
    disk.steps, disk.fails_at = 0, chance.randrange(1, 60)
    with suppress(ServerBusyError, OSError):
        for _ in range(chance.randrange(1, 10)):
            name = f"{chance.getrandbits(64):x}"
            whole = content("x" * chance.choice([10, 70_000]) + name, message_id=name)
            stored = await namespace.store_body(whole)
            blobs = [stored.body.name] if isinstance(stored.body, BodyFile) else []
            assert isinstance(whole.body, bytes)
            sent[name] = whole.body
            unsure.add(name)
            await namespace.run(lambda broker, now, one=stored: broker.send("q", [one], now), blobs)  # type: ignore[misc]
            unsure.discard(name)
            if chance.random() < 0.4:
                before = {message.content.message_id for message in namespace.broker.queue_at("q").peek(0, 1000)}
                unsure |= before
                taken = await namespace.run(lambda broker, now: broker.outlet("q").receive(1, now, None))
                unsure -= before
                settled |= {message.content.message_id for message in taken}
    with suppress(Exception):
        await namespace.__aexit__(None, None, None)


async def _messages(folder: Path) -> dict[str, bytes]:
    async with ServiceBusNamespace(MessageStore(folder), CONFIG, lambda: T0, lambda: UUID(int=1)) as namespace:
        return {
            message.content.message_id: await namespace.read_body(message.content)
            for message in namespace.broker.queue_at("q").peek(0, 1000)
        }
