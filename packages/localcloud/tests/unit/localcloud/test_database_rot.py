"""A bit of a database that has changed is noticed when it is opened."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.database_seal import DamagedDatabaseError, open_seal, seal
from localcloud.servicebus.errors import DamagedBodyError
from localcloud.servicebus.store import MessageStore
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.unit.log.machine import temporary_folder


def made(folder: Path) -> Path:
    database = folder / "data.sqlite"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY, number INTEGER)")
        rows = [(f"word {number}" * 20, number) for number in range(300)]
        connection.executemany("INSERT OR REPLACE INTO words VALUES (?, ?)", rows)
        connection.execute("DELETE FROM words WHERE number % 3 = 0")
    return database


@effort(30)
@given(seed=st.integers(0, 2**32))
def test_any_flipped_bit_of_a_closed_database_is_named(seed: int) -> None:
    chance = random.Random(seed)
    with temporary_folder() as folder:
        folder.mkdir()
        database = made(folder)
        seal(database)
        content = bytearray(database.read_bytes())
        at = chance.randrange(8 * len(content))
        content[at // 8] ^= 1 << at % 8
        database.write_bytes(content)
        for _ in range(2):
            with pytest.raises(DamagedDatabaseError) as caught:
                open_seal(database)
            assert str(database) in str(caught.value)
        assert database.read_bytes() == content
        content[at // 8] ^= 1 << at % 8
        database.write_bytes(content)
        open_seal(database)


@pytest.mark.parametrize("size", [-1, 1, -4096, 4096])
def test_a_database_of_another_size_is_named(tmp_path: Path, size: int) -> None:
    database = made(tmp_path)
    seal(database)
    content = database.read_bytes()
    database.write_bytes(content[:size] if size < 0 else content + bytes(size))
    with pytest.raises(DamagedDatabaseError, match="bytes, and had"):
        open_seal(database)


def test_a_seal_holds_until_the_next_write(tmp_path: Path) -> None:
    database = made(tmp_path)
    seal(database)
    for _ in range(2):
        open_seal(database)
        assert [path.name for path in tmp_path.iterdir()] == ["data.sqlite"]
        made(tmp_path)
    # Killed: there is no seal, and what was written is no damage.
    open_seal(database)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-3], lambda data: b"", lambda data: data[:40] + b"x" + data[41:]]
)
def test_a_seal_that_is_damaged_is_none(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    database = made(tmp_path)
    seal(database)
    file = tmp_path / "data.sqlite-seal"
    file.write_bytes(damage(file.read_bytes()))
    open_seal(database)


@pytest.mark.parametrize("place", ["head", "index"])
def test_without_a_seal_tables_and_indexes_are_compared(tmp_path: Path, place: str) -> None:
    database = made(tmp_path)
    content = bytearray(database.read_bytes())
    at = 3 if place == "head" else content.rindex(b"word 299word") + 5
    content[at] ^= 1
    database.write_bytes(content)
    with pytest.raises(DamagedDatabaseError, match=r"data\.sqlite is damaged"):
        open_seal(database)


async def test_stores_are_sealed_when_they_are_closed(tmp_path: Path) -> None:
    store = MessageStore(tmp_path)
    store.start()
    await store.close()
    file = tmp_path / "messages.sqlite"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedDatabaseError):
        MessageStore(tmp_path)


async def test_a_body_that_has_changed_is_named(tmp_path: Path) -> None:
    store = MessageStore(tmp_path)
    store.start()
    body = store.write_blob("one", b"x" * 100_000)
    assert store.read_blob(body) == b"x" * 100_000
    (tmp_path / "bodies" / body.name).write_bytes(b"x" * 99_999 + b"y")
    with pytest.raises(DamagedBodyError, match=body.name):
        store.read_blob(body)
    await store.close()
