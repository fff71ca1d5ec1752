"""A data folder that no other user can read."""

import os
from pathlib import Path

import pytest

from songline.processes.private_data import ForeignDataError, keep_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_folder_is_its_owners(tmp_path: Path) -> None:
    data = tmp_path / "a" / "data"
    keep_private(data)
    assert mode(data) == 0o700


def test_rights_of_others_go_and_the_owners_stay(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "logs" / "old").mkdir(parents=True)
    (data / "notes").mkdir()
    files = {
        "logs/a.log": 0o644,
        "logs/old/b.log": 0o666,
        "logs/run.sh": 0o755,
        "keys.json": 0o640,
        "session.key": 0o644,
        "token.key": 0o644,
        "page-client.json": 0o644,
        "outbox.db-wal": 0o644,
        "songline.env": 0o644,
        "logs/ro": 0o444,
    }
    for name, had in files.items():
        (data / name).write_bytes(b"x")
        (data / name).chmod(had)
    (data / "notes" / "mine.txt").write_bytes(b"x")
    (data / "notes" / "mine.txt").chmod(0o644)
    for folder in (data, data / "logs", data / "logs" / "old", data / "notes"):
        folder.chmod(0o777)
    keep_private(data)
    assert {name: mode(data / name) for name in files} == {
        "logs/a.log": 0o600,
        "logs/old/b.log": 0o600,
        "logs/run.sh": 0o700,
        "keys.json": 0o600,
        "session.key": 0o600,
        "token.key": 0o600,
        "page-client.json": 0o600,
        "outbox.db-wal": 0o600,
        "songline.env": 0o600,
        "logs/ro": 0o400,
    }
    assert [mode(folder) for folder in (data, data / "logs", data / "logs" / "old")] == [0o700] * 3
    # What is not ours stays as it was; the folder around it is closed.
    assert mode(data / "notes" / "mine.txt") == 0o644


def test_links_are_not_followed(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    data.mkdir()
    outside.mkdir()
    (outside / "file").write_bytes(b"x")
    (outside / "file").chmod(0o644)
    outside.chmod(0o755)
    (data / "logs").symlink_to(outside)
    (data / "keys.json").symlink_to(outside / "file")
    (data / "owners").symlink_to(tmp_path / "nowhere")
    keep_private(data)
    assert (mode(outside), mode(outside / "file")) == (0o755, 0o644)


def test_a_link_to_the_folder_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    real.chmod(0o755)
    (tmp_path / "data").symlink_to(real)
    keep_private(tmp_path / "data")
    assert mode(real) == 0o700


@pytest.mark.parametrize("theirs", ["", "logs", "logs/a.log", "owners"])
def test_what_belongs_to_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str) -> None:
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    (data / "logs" / "a.log").write_bytes(b"x")
    (data / "owners").symlink_to(tmp_path)
    stat, lstat = Path.stat, Path.lstat
    another = os.geteuid() + 1

    def owned(path: Path, found: os.stat_result) -> os.stat_result:
        if path != data / theirs:
            return found
        return os.stat_result([*found[:4], another, *found[5:]])

    monkeypatch.setattr(Path, "stat", lambda path, **options: owned(path, stat(path, **options)))
    monkeypatch.setattr(Path, "lstat", lambda path: owned(path, lstat(path)))
    with pytest.raises(ForeignDataError) as caught:
        keep_private(data)
    assert str(caught.value).startswith(f"{data / theirs} belongs to the user ")
    assert "choose another folder" in str(caught.value)


def test_a_folder_that_all_users_share_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(ForeignDataError, match="sticky"):
        keep_private(shared)
    assert mode(shared) == 0o777
