"""Files that only their owner may read."""

import os
from pathlib import Path

import pytest

from localcloud.private_file import write_private


def test_a_file_and_its_name_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def recorded(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink())
        fsync(fd)

    monkeypatch.setattr(os, "fsync", recorded)
    folder = tmp_path.resolve()
    for content in (b"one", b"other"):
        write_private(folder / "keys.json", content)
        assert (folder / "keys.json").read_bytes() == content
    # The content before the name is changed, and the name before the caller goes on.
    assert synced == [folder / ".keys.json.new", folder] * 2
    assert [file.name for file in folder.iterdir()] == ["keys.json"]
    assert (folder / "keys.json").stat().st_mode & 0o777 == 0o600
