"""SQL over an archive: typed tables, answers that pruning does not change, and nothing else of the machine."""

import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.history.analysis import answers
from songline.processors.history.analysis.database import EventDatabase, QueryError, UnwritableDatabaseError
from songline.processors.history.analysis.event_tables import SCHEMAS, EventRows
from songline.processors.history.analysis.loading import event_tables
from songline.processors.history.analysis.pruning import SecondBounds, bounds_of
from songline.processors.history.archive.history import HubHistory
from songline.schemas.envelope import Event, encode
from songline.schemas.events import ListenImported, Payload, SongLiked, SongPlayed, SongUploaded
from tests.support.archive_files import MemoryFiles
from tests.support.capture_files import NOON, capture_file, record

EVENTS: tuple[Payload, ...] = (
    SongPlayed(user_id="ann", song_id="song-1", played_ms=1_000, duration_ms=2_000, region="DE", device="ios"),
    SongPlayed(user_id="bob", song_id="song-2"),
    SongLiked(user_id="ann", song_id="song-1", region="FR"),
    SongUploaded(user_id="cem", song_id="song-3", title="Ti, tle", artist="Artist", duration_ms=5),
    ListenImported(user_id="ann", song_id="song-1", import_id="i", origin="spotify", title="T", artists=("A", "B")),
)
V1 = (
    b'{"specversion":"1.0","id":"v1","source":"/s","type":"songline.song.played.v1","time":"2025-11-22T12:00:00Z",'
    b'"data":{"userId":"dora","songId":"song-9","playedMs":7,"durationMs":0,"region":"DE"}}'
)


def body_of(data: Payload, at: int) -> bytes:
    return encode(Event(id=f"e-{at}", source="/s", time=datetime.fromtimestamp(NOON, UTC), data=data))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventDatabase]:
    database = EventDatabase(tmp_path_factory.mktemp("sql"))
    yield database
    database.close()


def filled(folder: Path, bodies: list[bytes]) -> EventDatabase:
    database, rows = EventDatabase(folder), EventRows(SCHEMAS)
    rows.add("2", list(range(len(bodies))), [NOON + at for at in range(len(bodies))], bodies)
    database.add(rows.tables())
    return database


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What this process writes into one file beyond so many bytes is refused, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with files_of_at_most(0), pytest.raises(UnwritableDatabaseError, match=r"[Ww]rite"):
        EventDatabase(tmp_path / "empty")
    with files_of_at_most(100_000), pytest.raises(UnwritableDatabaseError, match=r"events\.duckdb"):
        filled(tmp_path, [body_of(data, at) for at, data in enumerate(EVENTS * 4_000)])


def asked(database: EventDatabase, sql: str, form: str = "csv") -> str:
    database.check(sql)
    file = io.StringIO()
    answers.write(database.query(sql), form, file)
    return file.getvalue()


def test_each_type_has_a_table_with_typed_columns(tmp_path: Path) -> None:
    database = filled(tmp_path, [*(body_of(data, at) for at, data in enumerate(EVENTS)), V1, b"no event"])
    assert asked(database, "select user_id, played_ms, duration_ms, region, device from played order by position") == (
        "user_id,played_ms,duration_ms,region,device\nann,1000,2000,DE,ios\nbob,,,,\ndora,7,0,DE,\n"
    )
    assert asked(database, "select type, count(*) as n from events group by all order by n desc, type limit 2") == (
        "type,n\nplayed,3\nimported,1\n"
    )
    assert asked(database, "select enqueued_at, partition, position from liked", "json") == (
        '{"enqueued_at":"2025-11-22T12:00:02Z","partition":2,"position":2}\n'
    )
    assert asked(
        database, "select artists[2] as second, data->>'origin' as o from imported join events using (id)"
    ) == ("second,o\nB,spotify\n")
    assert asked(database, "select title, artist from uploaded") == 'title,artist\n"Ti, tle",Artist\n'
    shown = asked(database, "select title, chr(8238) as c, null as n from uploaded", "table")
    assert "Ti, tle" in shown
    assert "NULL" in shown
    assert "\u202e" not in shown
    assert [asked(database, f"select count(*) as n from {name}") for name in ("unliked", "removed")] == ["n\n0\n"] * 2
    database.close()


def test_a_statement_is_checked_before_there_are_events(tmp_path: Path) -> None:
    database, rows = EventDatabase(tmp_path), EventRows(["liked"])
    sql = f"select song_id from liked where enqueued_at >= '{datetime.fromtimestamp(NOON, UTC).isoformat()}'"
    database.check(sql)
    assert bounds_of(database.parsed(sql), database.moment) == SecondBounds(NOON)
    for at in range(2):
        rows.add("0", [at], [NOON + at], [body_of(EVENTS[2], at)])
        database.add(rows.tables())
    assert asked(database, sql) == "song_id\nsong-1\nsong-1\n"
    database.close()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("", "0 statements"),
        ("select 1; select 2", "2 statements"),
        ("selec 1", "syntax error"),
        ("select * from nowhere", "Table with name nowhere does not exist! There are played, "),
        ("select no_column from played", "no_column"),
        ("drop table played", "DROP"),
        ("insert into liked select * from liked", "INSERT"),
        ("copy played to '/tmp/songline-sql-test'", "COPY"),
        ("attach '/tmp/songline-sql-test.db'", "ATTACH"),
        ("set enable_external_access = true", "SET"),
        ("select * from read_csv('/etc/passwd')", "disabled"),
        ("select * from read_text('/etc/passwd')", "disabled"),
        ("select * from glob('/etc/*')", "disabled"),
        ("select * from '/etc/passwd'", "/etc/passwd"),
    ],
)
def test_what_is_not_a_select_over_the_events_is_refused_in_a_sentence(
    database: EventDatabase, sql: str, said: str
) -> None:
    with pytest.raises(QueryError) as raised:
        database.check(sql)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


T, U = "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00"
S = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("sql", "since", "until"),
    [
        (f"select * from played where enqueued_at >= '{T}'", S, None),
        (f"select * from played where enqueued_at > '{U}'", S, None),
        (f"from events e where '{T}' > e.Enqueued_At and user_id = 'a'", None, S + 1),
        ("select * from liked where enqueued_at between '2026-01-01' and timestamptz '2026-01-02'", S, S + 86_401),
        ("select * from liked where enqueued_at = cast('2026-01-01' as timestamptz)", S, S + 1),
        (f"select count(*) from liked where (id = 'x' and enqueued_at < '{T}') group by all limit 1", None, S + 1),
        # Anything else may need more.
        (f"select * from played where enqueued_at >= '{T}' or id = 'x'", None, None),
        (f"select * from played where not enqueued_at >= '{T}'", None, None),
        (f"select * from played, liked where played.enqueued_at >= '{T}'", None, None),
        (f"select (select count(*) from played) from played where enqueued_at >= '{T}'", None, None),
        (f"with played as (from liked) from played where enqueued_at >= '{T}'", None, None),
        (f"select time as enqueued_at from played where enqueued_at >= '{T}'", None, None),
        (f"from played p(enqueued_at, generation) where enqueued_at >= '{T}'", None, None),
        (f"from played where enqueued_at >= '{T}' union all from played", None, None),
        ("select * from played where enqueued_at >= now() - interval 1 day", None, None),
        ("select * from played where enqueued_at >= timestamp '2026-01-01'", None, None),
        ("select * from played where enqueued_at >= 'soon'", None, None),
        ("explain select 1", None, None),
        ("selec", None, None),
    ],
)
def test_bounds_that_a_statement_has(database: EventDatabase, sql: str, since: int | None, until: int | None) -> None:
    assert bounds_of(database.parsed(sql), database.moment) == SecondBounds(since, until)


@given(data=st.data())
async def test_pruning_changes_no_answer(database: EventDatabase, data: st.DataObject) -> None:
    """Of events at whole seconds, those that a comparison wants are within its bounds, however it is written."""
    operator = data.draw(st.sampled_from(["<", "<=", ">", ">=", "="]))
    moment = datetime.fromtimestamp(NOON, UTC) + timedelta(milliseconds=data.draw(st.integers(-3_000, 3_000)))
    zone = data.draw(st.sampled_from(["", "Z", "+00:00"]))
    written = f"'{moment:%Y-%m-%d %H:%M:%S.%f}{zone}'"
    flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}[operator]
    sql = data.draw(st.sampled_from([f"enqueued_at {operator} {written}", f"{written} {flipped} enqueued_at"]))
    bounds = bounds_of(database.parsed(f"from events where {sql}"), database.moment)
    for second in range(NOON - 5, NOON + 6):
        row = datetime.fromtimestamp(second, UTC)
        compare: dict[str, Any] = {
            "<": row < moment, "<=": row <= moment, ">": row > moment, ">=": row >= moment, "=": row == moment,
        }  # fmt: skip
        inside = (bounds.since_s is None or second >= bounds.since_s) and (
            bounds.until_s is None or second < bounds.until_s
        )
        assert inside or not compare[operator]


async def test_files_outside_of_the_bounds_are_not_read() -> None:
    files = MemoryFiles()
    paths = []
    for minute in range(6):
        positions = range(10 * minute, 10 * minute + 10)
        made = capture_file(
            [record(at, NOON + at, body_of(EVENTS[at % len(EVENTS)], at)) for at in positions], block_bytes=500
        )
        paths.append(files.add(made, minute))
    rows = EventRows(["events"])
    found = [
        tables async for tables in event_tables(HubHistory(files), SecondBounds(NOON + 25, NOON + 38), rows) if tables
    ]
    assert [at for tables in found for at in tables["events"]["position"].to_pylist()] == list(range(25, 38))
    assert not {paths[0], paths[1], paths[5]} & set(files.downloads)


@pytest.mark.parametrize(
    "sql",
    [
        "select cast(user_id as integer) from played",
        "select timestamp '290000-01-01 00:00:00' as t",
        "select date '-0044-03-15' as d",
        "select error('stop') from played",
        "select unnest(range(30000)) // 0 as n, sqrt(unnest(range(30000)) - 20000) as s",
    ],
)
@pytest.mark.parametrize("form", answers.FORMS)
def test_a_statement_that_fails_as_it_runs_says_so_in_a_sentence(tmp_path: Path, sql: str, form: str) -> None:
    database = filled(tmp_path, [body_of(EVENTS[0], 0)])
    with pytest.raises(QueryError, match=r"^[^\n]+$"):
        asked(database, sql, form)
    database.close()


def test_columns_of_one_name_are_all_in_an_object(database: EventDatabase) -> None:
    assert asked(database, "select 1 as a, 2 as a, 3 as a_1, 4 as a", "json") == '{"a":1,"a_1":2,"a_1_1":3,"a_2":4}\n'
