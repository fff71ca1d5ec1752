"""The log of a database that was killed: a changed bit is named, and what a crash leaves unfinished is none."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.database_seal import DamagedDatabaseError, open_seal
from localcloud.write_ahead_log import damage_in
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.unit.log.machine import temporary_folder

TRANSACTIONS = 12
HEAD, FRAME = 32, 24 + 4096
LOG, INDEX, INDEX_BEFORE = "data.sqlite-wal", "data.sqlite-shm", "before-shm"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a database after a kill: its log has TRANSACTIONS, and frames of an earlier log behind them.

    INDEX_BEFORE is the log's index as it was before the last transaction.
    """
    folder = tmp_path_factory.mktemp("killed")
    living, dead = folder / "living", folder / "dead"
    living.mkdir()
    random = Random(7)
    with closing(sqlite3.connect(living / "data.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE words (number INTEGER PRIMARY KEY, word BLOB)")
        for number in range(20):
            connection.execute("INSERT INTO words VALUES (?, ?)", (number, random.randbytes(9_000)))
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
        for number in range(100, 100 + TRANSACTIONS):
            shutil.copy(living / INDEX, living / INDEX_BEFORE)
            connection.execute("INSERT INTO words VALUES (?, ?)", (number, random.randbytes(random.randrange(9_000))))
        shutil.copytree(living, dead)
    return dead


def words(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        found: int = connection.execute("SELECT count(*) FROM words WHERE number >= 100").fetchone()[0]
        return found


def flip(file: Path, place: int, begin: int = 0) -> bytes:
    """Change one bit of the file, behind its first `begin` bytes; returns what it has by now."""
    content = bytearray(file.read_bytes())
    bit = 8 * begin + place % (8 * (len(content) - begin))
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    return bytes(content)


@effort(30)
@given(place=st.integers(0, 2**40))
def test_a_flipped_bit_of_what_was_synced_is_named(killed: Path, place: int) -> None:
    with temporary_folder() as folder:
        shutil.copytree(killed, folder)
        log = folder / LOG
        assert damage_in(log) is None
        content = flip(log, place)
        if damage_in(log) is None:
            # It is in what is left of an earlier log, and is overwritten next.
            assert words(folder / "data.sqlite") == TRANSACTIONS
            return
        for _ in range(2):
            with pytest.raises(DamagedDatabaseError, match=r"data\.sqlite-wal: .* not what was written"):
                open_seal(folder / "data.sqlite")
        assert log.read_bytes() == content


@effort(30)
@given(place=st.integers(0, 2**40), index=st.sampled_from(["none", "of before", "damaged"]))
def test_without_an_index_no_transaction_but_the_last_is_lost_in_silence(killed: Path, place: int, index: str) -> None:
    with temporary_folder() as folder:
        shutil.copytree(killed, folder)
        if index == "none":
            (folder / INDEX).unlink()
        elif index == "of before":
            shutil.copy(folder / INDEX_BEFORE, folder / INDEX)
        else:
            # Both copies of its head.
            flip(folder / INDEX, place % (48 * 8))
            flip(folder / INDEX, place % (48 * 8), 48)
        flip(folder / LOG, place)
        if damage_in(folder / LOG) is None:
            assert words(folder / "data.sqlite") >= TRANSACTIONS - 1


@pytest.mark.parametrize("lost", [1, FRAME - 1, FRAME, 3 * FRAME])
def test_a_log_that_was_cut_is_named(killed: Path, tmp_path: Path, lost: int) -> None:
    shutil.copytree(killed, tmp_path / "cut")
    log = tmp_path / "cut" / LOG
    content = log.read_bytes()
    salts = content[16:24]
    end = next(at for at in range(HEAD, len(content), FRAME) if content[at + 8 : at + 16] != salts)
    log.write_bytes(content[: end - lost])
    frames = (end - HEAD) // FRAME
    with pytest.raises(DamagedDatabaseError, match=rf"it has {frames - -(-lost // FRAME)} frames, and had {frames}"):
        open_seal(tmp_path / "cut" / "data.sqlite")


def test_an_index_of_another_log_says_nothing(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path / "other")
    with closing(sqlite3.connect(tmp_path / "data.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE words (number)")
        shutil.copy(tmp_path / INDEX, tmp_path / "other" / INDEX)
    assert damage_in(tmp_path / "other" / LOG) is None


@effort(15)
@given(seed=st.integers(0, 2**32))
def test_what_a_loss_of_power_leaves_of_one_transaction_is_no_damage(killed: Path, seed: int) -> None:
    random = Random(seed)
    with temporary_folder() as folder:
        shutil.copytree(killed, folder)
        # The index is written after the sync, and is not synced itself.
        if random.random() < 0.5:
            (folder / INDEX).unlink()
        else:
            shutil.copy(folder / INDEX_BEFORE, folder / INDEX)
        log = folder / LOG
        content = bytearray(log.read_bytes())
        ends = [at for at in range(HEAD, len(content), FRAME) if int.from_bytes(content[at + 4 : at + 8])]
        salts = content[16:24]
        ends = [at for at in ends if content[at + 8 : at + 16] == salts]
        assert len(ends) == TRANSACTIONS
        # The last transaction was not synced: any of its blocks is as it was, zeros or gone.
        begin, end = ends[-2] + FRAME, ends[-1] + FRAME
        for at in range(begin, end, 512):
            if random.random() < 0.5:
                size = min(512, end - at)
                content[at : at + size] = bytes(size)
        log.write_bytes(content if random.random() < 0.7 else content[: random.randrange(begin, end)])
        assert damage_in(log) is None
        open_seal(folder / "data.sqlite")
        assert words(folder / "data.sqlite") >= TRANSACTIONS - 1


@pytest.mark.parametrize("content", [b"", b"x" * 10, bytes(32)])
def test_a_log_that_has_just_begun_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    assert damage_in(tmp_path / "log") is None
