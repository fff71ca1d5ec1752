"""A bit of a subscription, or of an event that waits for one, that has changed is named at the start."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from localcloud.database_seal import DamagedDatabaseError
from localcloud.eventgrid.store import EventGridStore
from localcloud.eventgrid.subscription import Subscription, SubscriptionOptions

SHOP = Subscription("shop", SubscriptionOptions(endpoint_url="https://shop.example/songs"), "Succeeded", 5.0)


def written(folder: Path) -> Path:
    """A file in which two events wait, as a kill leaves it."""
    living, file = folder / "living.db", folder / "killed" / "eventgrid.db"
    file.parent.mkdir()
    with EventGridStore(living) as store:
        store.put_subscription(SHOP, "secret")
        store.publish([("shop", b'{"id":"1"}'), ("shop", b'{"id":"2"}')], 7.0)
        for path in folder.glob("living.db*"):
            shutil.copy(path, file.with_name(path.name.replace("living", "eventgrid")))
    return file


def test_what_was_written_is_read_after_a_kill(tmp_path: Path) -> None:
    with EventGridStore(written(tmp_path)) as store:
        assert store.subscriptions() == [SHOP]
        assert [event.body for event in store.due("shop", 8.0, 10)] == [b'{"id":"1"}', b'{"id":"2"}']


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("waiting", "body", b'{"id":"3"}'),
        ("waiting", "subscription", "shoq"),
        ("waiting", "published_s", 7.5),
        ("subscriptions", "name", "shoq"),
        ("subscriptions", "callback", "secreu"),
        ("subscriptions", "document", msgspec.json.encode({"name": "shop"})),
    ],
)
def test_a_changed_row_is_named(tmp_path: Path, table: str, column: str, value: object) -> None:
    file = written(tmp_path)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    for _ in range(2):
        with (
            pytest.raises(DamagedDatabaseError, match=rf"in {table} is not what was written") as raised,
            EventGridStore(file),
        ):
            pass
        assert str(file) in str(raised.value)
        assert "secret" not in str(raised.value)


def test_a_text_that_is_no_utf_8_is_damage(tmp_path: Path) -> None:
    file = written(tmp_path)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE waiting SET subscription = CAST(x'73ff' AS TEXT) WHERE number = 1")
    with pytest.raises(DamagedDatabaseError, match=r"eventgrid\.db is damaged"), EventGridStore(file):
        pass


def test_a_changed_bit_of_the_log_is_named(tmp_path: Path) -> None:
    file = written(tmp_path)
    log = file.with_name("eventgrid.db-wal")
    content = bytearray(log.read_bytes())
    content[-100] ^= 1
    log.write_bytes(content)
    with pytest.raises(DamagedDatabaseError, match=r"eventgrid\.db-wal: byte"), EventGridStore(file):
        pass


def test_a_closed_file_is_sealed(tmp_path: Path) -> None:
    file = written(tmp_path)
    with EventGridStore(file):
        pass
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedDatabaseError, match="are not what was written"), EventGridStore(file):
        pass


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    file = tmp_path / "eventgrid.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as former:
        former.execute(
            "CREATE TABLE subscriptions (name TEXT PRIMARY KEY, document BLOB NOT NULL, callback TEXT NOT NULL)"
        )
        former.execute(
            "CREATE TABLE waiting (number INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, "
            "body BLOB NOT NULL, published_s REAL NOT NULL, attempts INTEGER NOT NULL, next_s REAL NOT NULL, last BLOB)"
        )
        former.execute("INSERT INTO subscriptions VALUES (?, ?, ?)", ("shop", msgspec.json.encode(SHOP), "secret"))
        former.execute("INSERT INTO waiting VALUES (1, 'shop', x'7b7d', 7.0, 0, 7.0, NULL)")
    with EventGridStore(file) as store:
        store.publish([("shop", b'{"id":"2"}')], 7.0)
        assert store.by_callback("secret") == SHOP
        assert [event.body for event in store.due("shop", 8.0, 10)] == [b"{}", b'{"id":"2"}']
