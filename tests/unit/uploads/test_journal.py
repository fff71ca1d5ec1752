"""What `songline upload` remembers."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.sending.journal import FileSighting, JournalEntry, UploadJournal
from songline.sending.uploading import songs_in
from tests.support.bad_bytes import bad_bytes

FILE = FileSighting("/music/a.mp3", 7, 1)
ENTRY = JournalEntry(FILE, "ab" * 32, "http://here", "key", "ingestion", "queued")


def test_what_was_noted_is_known_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "not there yet" / "uploads.ndjson"
    journal = UploadJournal(path)
    journal.record(ENTRY)
    journal.record(msgspec.structs.replace(ENTRY, state="ready"))
    after = UploadJournal(path)
    found = after.find("http://here", "key")
    assert found is not None
    assert found.state == "ready"
    assert after.find("http://there", "key") is None
    assert after.sha256(FILE) == ENTRY.sha256
    assert after.sha256(msgspec.structs.replace(FILE, mtime_ns=2)) is None


@given(cut=st.integers(1, 400))
def test_a_line_that_was_cut_off_costs_nothing_but_itself(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "uploads.ndjson"
    UploadJournal(path).record(ENTRY)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: cut % len(whole)])
    other = msgspec.structs.replace(ENTRY, key="other")
    UploadJournal(path).record(other)
    after = UploadJournal(path)
    assert after.find("http://here", "key") == ENTRY
    assert after.find("http://here", "other") == other


@given(st.lists(bad_bytes(st.just(msgspec.json.encode(ENTRY))), max_size=4))
def test_bad_lines_cost_nothing_but_themselves(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("bad") / "uploads.ndjson"
    path.write_bytes(b"\n".join(lines))
    other = msgspec.structs.replace(ENTRY, key="other")
    UploadJournal(path).record(other)
    assert UploadJournal(path).find("http://here", "other") == other


def test_in_a_folder_songs_are_what_is_called_so(tmp_path: Path) -> None:
    for name in ("b.MP3", "a/c.flac", "a/cover.jpg", ".hidden/d.mp3", "a/.e.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mp3").mkdir()
    assert [str(found.relative_to(tmp_path)) for found in songs_in(tmp_path)] == ["a/c.flac", "b.MP3"]
    assert songs_in(tmp_path / "a" / "cover.jpg") == [tmp_path / "a" / "cover.jpg"]
