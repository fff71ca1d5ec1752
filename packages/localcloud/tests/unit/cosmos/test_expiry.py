"""Sweeps of expired items: nothing else goes, all of them go, and none looks at the whole container."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cosmos.expiry import CLOCK_MARGIN_S, MAX_AT_ONCE, remove_expired
from localcloud.cosmos.storage import SqliteSession
from localcloud_tests.support.fuzzing import effort

INSERT = "INSERT INTO items VALUES (7, ?, ?, ?, 0, ?, '', ?, ?, '{}', NULL)"


def container(default_ttl: int | None) -> Any:
    return SimpleNamespace(number=7, default_ttl=default_ttl)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteSession]:
    session = SqliteSession(Path(tmp_path_factory.mktemp("cosmos")) / "cosmos.sqlite", 1 << 20)
    session.connection.execute("PRAGMA synchronous=OFF")
    session.prepare()
    yield session
    session.connection.close()


def write(session: SqliteSession, items: Sequence[tuple[int, int | None]]) -> None:
    """Items of container 7, each with its time and its own lifetime, in the order of their writing."""
    session.connection.execute("DELETE FROM items")
    rows = [(f"{n:06}", f"{n:06}", f"{n:06}", n, ts, ttl) for n, (ts, ttl) in enumerate(items)]
    session.connection.executemany(INSERT, rows)


def left(session: SqliteSession) -> list[int]:
    return [lsn for (lsn,) in session.connection.execute("SELECT lsn FROM items ORDER BY lsn")]


LIFETIMES = st.sampled_from([None, None, -1, 5, 100, 10_000])


@effort(200)
@given(
    st.lists(st.tuples(st.integers(0, 30), LIFETIMES), max_size=30),
    st.sampled_from([-1, 50, 300]),
    st.lists(st.integers(0, 400), min_size=1, max_size=4),
)
def test_what_has_expired_goes_and_nothing_else(
    opened: SqliteSession, steps: list[tuple[int, int | None]], default_ttl: int, waits: list[int]
) -> None:
    items, at = [], 1_000
    for step, ttl in steps:
        # A clock that is set back by less than the margin.
        items.append((at + step * 2 - CLOCK_MARGIN_S // 2, ttl))
        at += step
    write(opened, items)
    after, now = -1, 1_000
    for wait in waits:
        now += wait
        _, after = remove_expired(container(default_ttl), now, after)(opened)
        ends = [(ts, default_ttl if ttl is None else ttl) for ts, ttl in items]
        assert left(opened) == [n for n, (ts, life) in enumerate(ends) if life < 0 or ts + life > now]


def test_more_than_one_sweep_removes_goes_in_several(opened: SqliteSession) -> None:
    write(opened, [(1_000, None)] * (MAX_AT_ONCE + 5) + [(1_000, 10)] * 5)
    first = remove_expired(container(60), 5_000, -1)(opened)
    second = remove_expired(container(60), 5_000, first.lsn)(opened)
    assert (first.removed, second.removed, left(opened)) == (MAX_AT_ONCE, 10, [])


def test_a_sweep_looks_at_no_item_that_still_lives(opened: SqliteSession) -> None:
    """Also where thousands are kept for ever in front of them, once they were looked at."""
    write(opened, [(1_000, -1)] * 3_000 + [(5_010, None)] * 3_000 + [(5_010, 9_000)] * 3_000)
    _, after = remove_expired(container(60), 5_000, -1)(opened)
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    opened.connection.set_progress_handler(count, 1)
    try:
        assert remove_expired(container(60), 5_000, after)(opened).removed == 0
    finally:
        opened.connection.set_progress_handler(None, 0)
    assert steps < 200
