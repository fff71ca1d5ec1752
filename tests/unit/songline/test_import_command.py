"""`songline import`: what it says of files that are not sent, and folders as files."""

import importlib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from songline.sending import folder_archive
from songline.sending.exits import CommandError, ExitCode
from songline.sending.folder_archive import as_file
from songline.sending.import_file import ImportReceiptAnswer

importing = importlib.import_module("songline.commands.import")


def test_what_was_begun_is_told_where_the_rest_can_not_be_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_bytes(b"[]")

    def sent(client: object, file: object, name: str, *more: object) -> ImportReceiptAnswer:
        assert name in ("a", "b"), "nothing behind a file that could not be sent is tried"
        if name == "b":
            raise CommandError("the API is away", ExitCode.UNREACHABLE)
        return ImportReceiptAnswer(f"import-of-{name}", "queued", "/v1/imports/x")

    monkeypatch.setattr(importing, "sent_import", sent)
    arguments = ["--user", "user-7", "--no-wait", *map(str, files)]
    result = CliRunner().invoke(importing.command, arguments, env={"SONGLINE_API": "http://127.0.0.1:9"})
    assert result.exit_code == 3, result.output
    assert f"{files[0]}: queued (import-of-a)" in result.stdout
    assert f"{files[1]}: not sent, and none behind it: the API is away" in result.stderr


def test_a_folder_is_the_same_archive_each_time(tmp_path: Path) -> None:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    (tmp_path / "in" / "deeper" / ".scrobbler.log").write_bytes(b"one")
    (tmp_path / "in" / "a.csv").write_bytes(b"two")
    seen: list[bytes] = []
    for _ in range(2):
        with as_file(tmp_path / "in") as file:
            seen.append(file.read())
            with zipfile.ZipFile(file) as archive:
                assert {name: archive.read(name) for name in archive.namelist()} == {
                    "a.csv": b"two",
                    "deeper/.scrobbler.log": b"one",
                }
        (tmp_path / "in" / "a.csv").touch()
    assert seen[0] == seen[1]
    with as_file(tmp_path / "in" / "a.csv") as file:
        assert file.read() == b"two"
    with pytest.raises(CommandError, match="No such file"), as_file(tmp_path / "gone"):
        pass


@pytest.mark.parametrize(("name", "value"), [("MAX_FILES", 1), ("MAX_BYTES", 2), ("MAX_FILES", -1)])
def test_a_folder_that_is_no_export_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: Any
) -> None:
    if value > 0:
        for one in ("a", "b"):
            (tmp_path / one).write_bytes(b"two")
        monkeypatch.setattr(folder_archive, name, value)
    with pytest.raises(CommandError, match="name the files of the history"), as_file(tmp_path):
        pass
