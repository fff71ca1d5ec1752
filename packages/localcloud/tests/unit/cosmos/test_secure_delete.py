"""What was deleted is not in the files of the stores either."""

from pathlib import Path

from localcloud.cosmos.storage import SqliteSession
from localcloud.servicebus.store import MessageStore


def test_a_deleted_document_is_overwritten(tmp_path: Path) -> None:
    session = SqliteSession(tmp_path / "account.sqlite", 1 << 20)
    session.prepare()
    session.connection.execute("CREATE TABLE words (word TEXT)")
    session.connection.executemany("INSERT INTO words VALUES (?)", [("secret-word " * 9,)] * 500)
    session.connection.execute("DELETE FROM words")
    session.connection.close()
    assert not [file for file in tmp_path.iterdir() if b"secret-word" in file.read_bytes()]


def test_messages_are_overwritten_too(tmp_path: Path) -> None:
    store = MessageStore(tmp_path)
    try:
        assert store._database.execute("PRAGMA secure_delete").fetchone() == (1,)
    finally:
        store._database.close()
