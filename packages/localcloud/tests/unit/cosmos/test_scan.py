"""Items that are asked for by id, by few statements."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from localcloud.cosmos.extent import Extent
from localcloud.cosmos.scan import candidates
from localcloud.cosmos.storage import SqliteSession


class _Recorder:
    """A connection that keeps the statements that it was given."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.statements: set[str] = set()

    def execute(self, statement: str, values: list[object]) -> Any:
        self.statements.add(statement)
        return self._connection.execute(statement, values)


def test_any_number_of_ids_is_asked_for_by_few_statements(tmp_path: Path) -> None:
    opened = SqliteSession(tmp_path / "account.sqlite", 1 << 20)
    opened.prepare()
    insert = "INSERT INTO items VALUES (1, 'AA', 'key', ?, ?, ?, 'etag', 1, NULL, ?, NULL)"
    opened.connection.executemany(insert, [(f"{number:03}", number, number, b"{}") for number in range(150)])
    recorder = _Recorder(opened.connection)
    session: Any = SimpleNamespace(connection=recorder, path=opened.path)
    container: Any = SimpleNamespace(number=1, default_ttl=None)
    for count in range(151):
        ids = tuple(f"{number:03}" for number in range(count))
        found = candidates(session, container, [Extent("AA", "AB", "key")], (*ids, "missing"), None, 0)
        assert tuple(one.place[2] for one in found) == ids
    assert not list(candidates(session, container, [Extent("AA", "AB", "key")], (), None, 0))
    opened.connection.close()
    assert len(recorder.statements) == 10
