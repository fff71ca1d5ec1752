"""A bit of a document or a message that has changed while its database was open, or before it was killed, is named."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from crc32c import crc32c

from localcloud.cosmos import json_documents
from localcloud.cosmos.damage import DamagedItemError, checked_body
from localcloud.cosmos.storage import DamagedStoreError, SqliteSession, Storage
from localcloud.database_seal import DamagedDatabaseError
from localcloud.row_checksum import add_column, row_checksum
from localcloud.servicebus.changes import LockGrant, MessageInserted, MessageState, MessageUpdated, QueuedMessage
from localcloud.servicebus.message import MessageContent
from localcloud.servicebus.store import MessageStore

BODY = b"a body of less than 64 KB, " * 40


def message(sequence: int, bare: bytes = BODY) -> QueuedMessage:
    content = MessageContent(
        annotations={},
        bare=bare,
        body=b"inline",
        message_id=f"m-{sequence}",
        session_id=None,
        ttl_ms=None,
        due_ms=None,
        delivery={},
        priority=None,
    )
    return QueuedMessage(sequence, content, 1_000, None, MessageState.ACTIVE, 0, None, None, None, 0)


async def queued(folder: Path, count: int = 3) -> Path:
    """A queue of messages, closed."""
    store = MessageStore(folder)
    store.load()
    store.start()
    await store.commit([MessageInserted("q", message(number)) for number in range(count)])
    await store.close()
    return folder / "messages.sqlite"


def change(database: Path, statement: str, *values: object) -> None:
    """Change what is in the file as rot does: nothing is told of it, and there is no seal of before."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount == 1
    database.with_name(f"{database.name}-seal").unlink(missing_ok=True)


def flipped(data: bytes, seed: int) -> bytes:
    at = random.Random(seed).randrange(8 * len(data))
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@pytest.mark.parametrize("seed", range(10))
async def test_a_message_of_which_a_bit_has_changed_is_named_at_the_start(tmp_path: Path, seed: int) -> None:
    file = await queued(tmp_path)
    change(file, "UPDATE messages SET bare = ? WHERE sequence = 1", flipped(BODY, seed))
    store = MessageStore(tmp_path)
    for _ in range(2):
        with pytest.raises(DamagedDatabaseError, match=r"the message 1 of 'q' is not what was written") as raised:
            store.load()
        assert str(file) in str(raised.value)
    await store.close()
    # What has changed while it was open is not taken for right by the seal of the next closing.
    store = MessageStore(tmp_path)
    with pytest.raises(DamagedDatabaseError, match="the message 1 of 'q'"):
        store.load()
    await store.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [("body", b"inlime"), ("message_id", "m-7"), ("enqueued_ms", 1_001), ("ttl_ms", 5), ("hops", 1), ("queue", "p")],
)
async def test_so_is_another_of_its_columns(tmp_path: Path, column: str, value: object) -> None:
    file = await queued(tmp_path)
    change(file, f"UPDATE messages SET {column} = ? WHERE sequence = 1", value)
    store = MessageStore(tmp_path)
    with pytest.raises(DamagedDatabaseError, match="the message 1 of"):
        store.load()
    await store.close()


async def test_a_text_that_is_no_utf_8_any_more_is_damage(tmp_path: Path) -> None:
    file = await queued(tmp_path)
    change(file, "UPDATE messages SET message_id = CAST(x'6dff' AS TEXT) WHERE sequence = 1")
    store = MessageStore(tmp_path)
    with pytest.raises(DamagedDatabaseError, match=r"messages\.sqlite is damaged: Could not decode"):
        store.load()
    await store.close()


async def test_what_changes_while_a_message_waits_is_no_damage(tmp_path: Path) -> None:
    await queued(tmp_path)
    store = MessageStore(tmp_path)
    (kept, *_) = [one for _, one in store.load().messages]
    store.start()
    lock = LockGrant(UUID(int=7), 5_000)
    locked = kept._replace(delivery_count=3, lock=lock, content=replace(kept.content, bare=b"rewritten"))
    await store.commit([MessageUpdated("q", locked, True)])
    await store.close()
    store = MessageStore(tmp_path)
    (found, *_) = [one for _, one in store.load().messages]
    assert (found.delivery_count, found.lock, found.content.bare) == (3, lock, b"rewritten")
    await store.close()


async def test_messages_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    file = await queued(tmp_path)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE messages DROP COLUMN crc")
    file.with_name(f"{file.name}-seal").unlink()
    store = MessageStore(tmp_path)
    assert len(store.load().messages) == 3
    store.start()
    await store.commit([MessageInserted("q", message(9))])
    await store.close()
    change(file, "UPDATE messages SET bare = ? WHERE sequence = 9", flipped(BODY, 1))
    store = MessageStore(tmp_path)
    with pytest.raises(DamagedDatabaseError, match="the message 9"):
        store.load()
    await store.close()


def test_a_checksum_tells_values_apart() -> None:
    rows: list[list[Any]] = [["a", "bc"], ["ab", "c"], ["ab", b"c"], ["ab", None], [None, "ab"], ["1"], [1], []]
    assert len({row_checksum(row) for row in rows}) == len(rows)


def test_the_column_is_added_once(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as connection:
        connection.execute("CREATE TABLE items (id TEXT)")
        for _ in range(2):
            add_column(connection, "items")
        assert [name for _, name, *_ in connection.execute("PRAGMA table_info(items)")] == ["id", "crc"]


async def test_a_damaged_page_is_told_by_the_file(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    try:

        def damaged(session: SqliteSession) -> None:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

        for run in (storage.read, storage.scan, storage.write):
            with pytest.raises(DamagedStoreError, match=r"cosmos\.sqlite is damaged: database disk image is malformed"):
                await run(damaged)
    finally:
        await storage.close()


async def test_a_body_is_what_was_written_or_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage(tmp_path)
    body = json_documents.encode({"id": "one"})
    try:

        def read(session: SqliteSession) -> bytes:
            assert checked_body(session, "one", body, crc32c(body)) == body
            # Of an earlier version.
            assert checked_body(session, "one", body, None) == body
            return checked_body(session, "one", flipped(body, 3), crc32c(body))

        with pytest.raises(DamagedItemError, match=r"the item 'one' is not what was written\. Write the item anew"):
            await storage.read(read)
        assert f"{tmp_path / 'cosmos.sqlite'} is damaged: the item 'one'" in caplog.text
    finally:
        await storage.close()
