"""What a killed process leaves of files on their way is deleted by the next one, and nothing else is."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from songline.cloud.settings import SettingError
from songline.processors.runtime.scratch_folder import LONGEST, check_temporary_folder, scratch_folder

PREFIX = "songline-kind-"
HOLDS = """
import multiprocessing, os, pathlib, sys, tempfile
from songline.processors.runtime.scratch_folder import keep_sockets_in, scratch_folder
with scratch_folder(sys.argv[1], pathlib.Path(sys.argv[2])) as folder:
    (folder / "audio").write_bytes(b"much")
    tempfile.tempdir = sys.argv[2]
    keep_sockets_in(folder)
    process = multiprocessing.get_context("forkserver").Process(target=os.getpid)
    process.start()
    process.join()
    assert process.exitcode == 0
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder with a short path: sockets are made in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def holder(parent: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process that has a folder, and the folder. It has run a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, PREFIX, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_folder_is_empty_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with scratch_folder(PREFIX, tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_deleted(holder: tuple["subprocess.Popen[str]", Path], parent: Path) -> None:
    process, left = holder
    with scratch_folder(PREFIX, parent) as mine:
        assert (left / "audio").exists(), "it lives"
        assert mine != left
    process.kill()
    process.wait()
    assert (left / "audio").exists(), "it was killed"
    assert list(parent.iterdir()) == [left], "sockets are in it, too"
    with scratch_folder("songline-other-", parent):
        assert (left / "audio").exists(), "another kind of process deletes it not"
    with scratch_folder(PREFIX, parent) as mine:
        assert list(parent.iterdir()) == [mine]


def test_a_process_that_ends_leaves_no_sockets(holder: tuple["subprocess.Popen[str]", Path], parent: Path) -> None:
    process, _ = holder
    said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said[0] == ""
    assert list(parent.iterdir()) == []


def test_what_no_worker_made_stays(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}older").mkdir()
    (tmp_path / f"{PREFIX}file").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    before = sorted(tmp_path.iterdir())
    with scratch_folder(PREFIX, tmp_path):
        pass
    assert sorted(tmp_path.iterdir()) == before
    assert (elsewhere / "lock").exists()


def test_a_folder_in_whose_path_no_socket_fits_is_named_at_the_start() -> None:
    check_temporary_folder({})
    check_temporary_folder({"TMPDIR": "/" + "a" * (LONGEST - 1)})
    with pytest.raises(SettingError, match=r"^TMPDIR: saw '/a+', expected a path of at most 75 bytes"):
        check_temporary_folder({"TMPDIR": "/" + "a" * LONGEST})
