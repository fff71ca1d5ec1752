"""Durability below the wire: a store that fails, and what is read again."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from localcloud.amqp.message import DATA, section
from localcloud.amqp.performatives import Properties
from localcloud.amqp.types import Timestamp
from localcloud.servicebus import entities
from localcloud.servicebus.config import NamespaceConfig, QueueConfig
from localcloud.servicebus.errors import MessageLockLostError, ServerBusyError
from localcloud.servicebus.message import BodyFile, read_content
from localcloud.servicebus.namespace import ServiceBusNamespace
from localcloud.servicebus.store import MessageStore
from localcloud_tests.unit.servicebus.builders import T0, bodies, content, tokens

CONFIG = NamespaceConfig(queues=(QueueConfig("q", entities.QueueDescription(max_message_size_in_kilobytes=1024)),))


class Clock:
    now = T0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def namespace(tmp_path: Path, clock: Clock) -> AsyncIterator[ServiceBusNamespace]:
    async with ServiceBusNamespace(MessageStore(tmp_path), CONFIG, clock, tokens()) as made:
        yield made


async def test_a_failing_disk_refuses_and_nothing_has_happened(namespace: ServiceBusNamespace, tmp_path: Path) -> None:
    await namespace.run(lambda broker, now: broker.send("q", [content("kept")], now))
    new = tokens()
    (locked,) = await namespace.run(lambda broker, now: broker.outlet("q").receive(1, now, new))
    blocker = sqlite3.connect(tmp_path / "messages.sqlite", isolation_level=None)
    # Another's exclusive lock fails our commits, after SQLite's own patience, as a full disk would at once.
    namespace._store._database.execute("PRAGMA busy_timeout = 0")  # no other way to fail on purpose
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServerBusyError, match="locked"):
        await namespace.run(lambda broker, now: broker.send("q", [content("lost")], now))
    with pytest.raises(ServerBusyError):
        await namespace.run(lambda broker, now: broker.send("q", [content("lost too")], now))
    blocker.execute("ROLLBACK")
    blocker.close()
    assert bodies(namespace.broker.queue_at("q")) == ["kept"]
    await namespace.run(lambda broker, now: broker.send("q", [content("after")], now))
    assert bodies(namespace.broker.queue_at("q")) == ["kept", "after"]
    assert locked.lock is not None
    token = locked.lock.token
    await namespace.run(lambda broker, now: broker.queue_at("q").complete(token, now))
    assert bodies(namespace.broker.queue_at("q")) == ["after"]


async def test_a_lock_is_there_after_a_restart_and_ends_in_time(tmp_path: Path, clock: Clock) -> None:
    new = tokens()
    async with ServiceBusNamespace(MessageStore(tmp_path), CONFIG, clock, tokens()) as first:
        await first.run(lambda broker, now: broker.send("q", [content("a"), content("b")], now))
        one, two = await first.run(lambda broker, now: broker.outlet("q").receive(2, now, new))
    assert one.lock is not None
    assert two.lock is not None
    tokens_held = [one.lock.token, two.lock.token]
    clock.now = T0 + 59_000
    async with ServiceBusNamespace(MessageStore(tmp_path), CONFIG, clock, tokens()) as again:
        assert await again.run(lambda broker, now: broker.outlet("q").receive(2, now, new)) == []
        await again.run(lambda broker, now: broker.queue_at("q").complete(tokens_held[0], now))
        clock.now = T0 + 60_000
        with pytest.raises(MessageLockLostError):
            await again.run(lambda broker, now: broker.queue_at("q").complete(tokens_held[1], now))
        (back,) = await again.run(lambda broker, now: broker.outlet("q").receive(2, now, new))
        assert (back.sequence, back.delivery_count) == (2, 1)


async def test_a_body_in_a_file_goes_with_its_last_message(namespace: ServiceBusNamespace, tmp_path: Path) -> None:
    stored = await namespace.store_body(content("x" * 100_000))
    assert isinstance(stored.body, BodyFile)
    blobs = [stored.body.name]
    await namespace.run(lambda broker, now: broker.send("q", [stored, stored], now), blobs)
    files = tmp_path / "bodies"
    for left in (1, 0):
        assert [file.name for file in files.iterdir()] == blobs
        await namespace.run(lambda broker, now: broker.outlet("q").receive(1, now, None))
        assert len(namespace.broker.queue_at("q").messages) == left
    assert list(files.iterdir()) == []


async def test_the_body_of_a_refused_message_is_removed(namespace: ServiceBusNamespace, tmp_path: Path) -> None:
    stored = await namespace.store_body(content("x" * 100_000))
    assert isinstance(stored.body, BodyFile)
    with pytest.raises(Exception, match="nowhere"):
        await namespace.run(lambda broker, now: broker.send("nowhere", [stored], now), [stored.body.name])
    await namespace.run(lambda broker, now: None)
    assert list((tmp_path / "bodies").iterdir()) == []


async def test_a_body_that_no_message_names_is_swept_at_start(tmp_path: Path, clock: Clock) -> None:
    store = MessageStore(tmp_path)
    store.write_blob("orphan", b"x")
    async with ServiceBusNamespace(store, CONFIG, clock, tokens()):
        assert list((tmp_path / "bodies").iterdir()) == []


async def test_no_moment_of_a_sender_stops_the_store(namespace: ServiceBusNamespace) -> None:
    """Moments of AMQP have 64 bits, and what is between two of them has more than SQLite takes."""
    for_ever = Properties(creation_time=Timestamp(-(2**63)), absolute_expiry_time=Timestamp(2**63 - 1))
    sent = read_content(for_ever.encoded() + section(DATA, b"for ever"), UUID(int=0))
    await namespace.run(lambda broker, now: broker.send("q", [sent], now))
    await namespace.run(lambda broker, now: broker.send("q", [content("after")], now))
    found = namespace.broker.queue_at("q").peek(0, 10)
    assert bodies(namespace.broker.queue_at("q")) == ["for ever", "after"]
    assert [message.expires_ms for message in found] == [None, None]
