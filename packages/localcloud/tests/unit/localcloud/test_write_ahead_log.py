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


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a database after a kill: its log has TRANSACTIONS, and frames of an earlier log behind them."""
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
            connection.execute("INSERT INTO words VALUES (?, ?)", (number, random.randbytes(random.randrange(9_000))))
        shutil.copytree(living, dead)
    return dead


def words(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        found: int = connection.execute("SELECT count(*) FROM words WHERE number >= 100").fetchone()[0]
        return found


@effort(30)
@given(place=st.integers(0, 2**40))
def test_a_flipped_bit_loses_no_transaction_but_the_last_in_silence(killed: Path, place: int) -> None:
    with temporary_folder() as folder:
        shutil.copytree(killed, folder)
        log = folder / "data.sqlite-wal"
        assert damage_in(log) is None
        content = bytearray(log.read_bytes())
        bit = place % (8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        log.write_bytes(content)
        found = damage_in(log)
        if found is None:
            assert words(folder / "data.sqlite") >= TRANSACTIONS - 1
        else:
            with pytest.raises(DamagedDatabaseError, match=r"data\.sqlite-wal: .* not what was written"):
                open_seal(folder / "data.sqlite")
            assert log.read_bytes() == content


@effort(15)
@given(seed=st.integers(0, 2**32))
def test_what_a_loss_of_power_leaves_of_one_transaction_is_no_damage(killed: Path, seed: int) -> None:
    random = Random(seed)
    with temporary_folder() as folder:
        shutil.copytree(killed, folder)
        log = folder / "data.sqlite-wal"
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
