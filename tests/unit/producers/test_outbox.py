"""The outbox's file: order, bounds, one process, nothing lost by opening it again."""

import re
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from localcloud_tests.support.power_loss import SyncedDisk
from localcloud_tests.support.synced_sqlite import library, reporting_syncs
from songline.producers import OutboxFullError, OutboxLockedError
from songline.producers.publishing.outbox import Outbox


def append(outbox: Outbox, *bodies: bytes) -> int:
    for body in bodies:
        outbox.reserve("user", body)
    return outbox.append([("user", 1.0, body) for body in bodies])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.lists(st.binary(max_size=20), min_size=1, max_size=5)),
            st.tuples(st.just("delete"), st.integers(0, 6)),
            st.tuples(st.just("reopen"), st.none()),
        ),
        max_size=15,
    )
)
@effort(20)
def test_it_is_a_queue_that_survives(steps: list[tuple[str, list[bytes] | int | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outbox, model = Outbox(Path(folder) / "outbox.db"), list[bytes]()
        for _, argument in steps:
            if isinstance(argument, list):
                append(outbox, *argument)
                model += argument
            elif isinstance(argument, int):
                kept = outbox.read(0, argument)
                assert [each.body for each in kept] == model[:argument]
                if kept:
                    outbox.delete(kept[-1].number)
                    del model[: len(kept)]
            else:
                outbox.close()
                outbox = Outbox(Path(folder) / "outbox.db")
            assert (outbox.events, outbox.bytes) == (len(model), sum(len(body) + 4 for body in model))
            assert outbox.oldest == (1.0 if model else None)
        kept = outbox.read(0, 100)
        outbox.close()
        assert [each.body for each in kept] == model
        assert [each.number for each in kept] == sorted({each.number for each in kept})


def test_what_the_hub_has_is_not_in_the_file(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    append(outbox, *(b"user-7 played song %d." % number for number in range(500)))
    outbox.delete(outbox.read(0, 499)[-1].number)
    outbox.close()
    found = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert re.findall(rb"song (\d+)\.", found) == [b"499"]


@pytest.mark.parametrize(("events", "size", "taken"), [(3, 1_000, 3), (100, 28, 2)])
def test_it_is_bounded_by_events_and_by_bytes(tmp_path: Path, events: int, size: int, taken: int) -> None:
    outbox = Outbox(tmp_path / "outbox.db", max_events=events, max_bytes=size)
    last = append(outbox, *[b"0123456789"] * taken)
    with pytest.raises(OutboxFullError, match=f"saw {taken} events of {14 * taken} bytes.*see why the hub is away"):
        outbox.reserve("user", b"0123456789")
    outbox.delete(last)
    assert append(outbox, b"there is") == last + 1
    outbox.close()


def test_a_second_process_is_told_that_there_is_a_first(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    with pytest.raises(OutboxLockedError, match="an outbox of its own"):
        Outbox(tmp_path / "outbox.db")
    outbox.close()
    Outbox(tmp_path / "outbox.db").close()


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    file.write_bytes(b"not a database at all " * 100)
    with pytest.raises(OSError, match="move it away"):
        Outbox(file)
    assert file.read_bytes().startswith(b"not a database")


def test_a_disk_that_takes_nothing_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    append(outbox, b"before")
    pages = outbox._database.execute("PRAGMA page_count").fetchone()[0]
    outbox._database.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(OutboxFullError, match=r"database or disk is full.*make room"):
        append(outbox, b"x" * 100_000)
    outbox.give_back("user", b"x" * 100_000)
    assert [each.body for each in outbox.read(0, 10)] == [b"before"]
    outbox._database.execute("PRAGMA max_page_count=1000")
    append(outbox, b"after")
    assert [each.body for each in outbox.read(0, 10)] == [b"before", b"after"]
    outbox.close()


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6), st.integers(0, 2**32))
@effort(20)
def test_a_changed_bit_is_never_sent(bodies: list[bytes], seed: int) -> None:
    """Each event of a file that has changed in one bit is as it was accepted, or set aside; or the file is named."""
    random = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outbox.db"
        outbox = Outbox(file)
        append(outbox, *bodies)
        outbox.close()
        content = bytearray(file.read_bytes())
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        file.write_bytes(content)
        try:
            outbox = Outbox(file)
            found = outbox.read(0, 100)
        except OSError as error:
            said = str(error)
        else:
            said = str(file)
            for each in found:
                assert (each.partition_key, each.accepted_at, each.body) == ("user", 1.0, bodies[each.number - 1])
            assert (outbox.events, outbox.damaged) == (len(found), len(bodies) - len(found))
            outbox.close()
        assert str(file) in said


def killed(living: Path, dead: Path, *bodies: bytes) -> list[bytes]:
    """Append each of `bodies` alone to an outbox in `living`, and copy its files to `dead` as a kill leaves them."""
    with closing(Outbox(living / "outbox.db")) as outbox:
        for body in bodies:
            append(outbox, body)
        shutil.copytree(living, dead)
        return [each.body for each in outbox.read(0, 1_000)]


@given(place=st.integers(0, 2**40))
@effort(15)
def test_a_changed_bit_in_the_log_of_a_killed_process_loses_nothing_in_silence(place: int) -> None:
    random = Random(place)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "dead"
        accepted = killed(Path(name) / "living", folder, *(random.randbytes(random.randrange(6_000)) for _ in range(6)))
        log = folder / "outbox.db-wal"
        content = bytearray(log.read_bytes())
        content[place // 8 % len(content)] ^= 1 << place % 8
        log.write_bytes(content)
        for _ in range(2):
            with pytest.raises(
                OSError, match=rf"outbox {folder}/outbox\.db: saw that .* of outbox\.db-wal is not what"
            ):
                Outbox(folder / "outbox.db")
        assert log.read_bytes() == content
        # What stands before is whole.
        (folder / "outbox.db-shm").unlink()
        with closing(Outbox(folder / "outbox.db")) as outbox:
            found = [each.body for each in outbox.read(0, 1_000)]
        assert found == accepted[: len(found)]


def test_a_log_that_was_cut_is_named(tmp_path: Path) -> None:
    killed(tmp_path / "living", tmp_path / "dead", b"one", b"two")
    log = tmp_path / "dead" / "outbox.db-wal"
    size = len(log.read_bytes())
    log.write_bytes(log.read_bytes()[:-1])
    with pytest.raises(
        OSError, match=rf"outbox\.db-wal ends at byte {size - 1}, and had {size}, .* delete outbox\.db-shm"
    ):
        Outbox(tmp_path / "dead" / "outbox.db")


@pytest.mark.parametrize("index", ["none", "cut", "damaged", "of another log"])
def test_an_index_that_says_nothing_is_passed_over(tmp_path: Path, index: str) -> None:
    accepted = killed(tmp_path / "living", tmp_path / "dead", b"one", b"two")
    file = tmp_path / "dead" / "outbox.db-shm"
    content = file.read_bytes()
    if index == "none":
        file.unlink()
    elif index == "cut":
        file.write_bytes(content[:40])
    elif index == "damaged":
        file.write_bytes(bytes([*content[:20], *(byte ^ 1 for byte in content[20:90]), *content[90:]]))
    else:
        killed(tmp_path / "other", tmp_path / "another", b"one")
        shutil.copy(tmp_path / "another" / "outbox.db-shm", file)
    with closing(Outbox(tmp_path / "dead" / "outbox.db")) as outbox:
        assert [each.body for each in outbox.read(0, 10)] == accepted


def test_a_log_that_was_begun_anew_is_whole(tmp_path: Path) -> None:
    """After the file was emptied frames of an earlier log stand behind those of the new one."""
    living, dead = tmp_path / "living", tmp_path / "dead"
    with closing(Outbox(living / "outbox.db")) as outbox:
        append(outbox, *(b"x" * 2_000 for _ in range(40)))
        outbox._database.execute("PRAGMA wal_checkpoint(RESTART)")
        append(outbox, b"new")
        shutil.copytree(living, dead)
    with closing(Outbox(dead / "outbox.db")) as outbox:
        assert outbox.events == 41
    with closing(Outbox(living / "outbox.db")) as outbox:
        outbox.delete(41)
        outbox.shrink()
        shutil.copytree(living, tmp_path / "emptied")
    with closing(Outbox(tmp_path / "emptied" / "outbox.db")) as outbox:
        assert outbox.events == 0


def test_an_event_that_is_damaged_is_set_aside_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "outbox.db"
    outbox = Outbox(file)
    append(outbox, b"first of user-7", b"second of user-7", b"third of user-7")
    outbox.close()
    file.write_bytes(file.read_bytes().replace(b"second of user-7", b"second of user-6"))
    outbox = Outbox(file)
    assert [each.body for each in outbox.read(0, 2)] == [b"first of user-7", b"third of user-7"]
    assert f"outbox {file} is damaged: event 2, accepted at 1.0, is not what was written" in caplog.text
    assert (outbox.events, outbox.bytes, outbox.damaged) == (2, 2 * (4 + 15), 1)
    outbox.delete(3)
    outbox.close()
    outbox = Outbox(file)
    assert (outbox.events, outbox.damaged, outbox.read(0, 10)) == (0, 1, [])
    outbox.close()


def test_where_all_that_is_read_is_damaged_what_is_behind_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    outbox = Outbox(file)
    append(outbox, b"one", b"one", b"two")
    outbox.close()
    file.write_bytes(file.read_bytes().replace(b"one", b"onE"))
    outbox = Outbox(file)
    assert [each.body for each in outbox.read(0, 2)] == [b"two"]
    outbox.close()


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    with closing(sqlite3.connect(file)) as former:
        former.execute(
            "CREATE TABLE events (number INTEGER PRIMARY KEY, partition_key TEXT NOT NULL, accepted_at REAL NOT NULL, "
            "body BLOB NOT NULL)"
        )
        former.execute("INSERT INTO events VALUES (7, 'user', 1.0, x'41')")
        former.commit()
    outbox = Outbox(file)
    assert append(outbox, b"B") == 8
    assert [each.body for each in outbox.read(0, 10)] == [b"A", b"B"]
    outbox.close()


@pytest.mark.skipif(library() is None, reason="the module sqlite3 has SQLite built in: no sync can be seen")
@given(seed=st.integers(0, 2**32))
@effort(10)
def test_what_was_accepted_outlives_a_loss_of_power(seed: int) -> None:
    chance = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        disk, file = SyncedDisk(Path(folder)), Path(folder) / "outbox.db"
        accepted: list[bytes] = []
        doubtful: list[bytes] = []
        try:
            for _ in range(3):
                with disk.watching(), reporting_syncs(disk.sync_by_sqlite):
                    disk.fails_at = chance.randint(1, 60)
                    with suppress(OSError, OutboxFullError), closing(Outbox(file)) as outbox:
                        while True:
                            doubtful = [chance.randbytes(chance.randint(1, 2_000)) for _ in range(chance.randint(1, 5))]
                            append(outbox, *doubtful)
                            accepted, doubtful = accepted + doubtful, []
                disk.lose(chance)
                outbox = Outbox(file)
                found = [each.body for each in outbox.read(0, 100_000)]
                assert found in (accepted, accepted + doubtful)
                assert outbox.damaged == 0
                accepted, doubtful = found, []
                outbox.close()
        finally:
            disk.close()
