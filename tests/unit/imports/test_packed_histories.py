"""Histories in gzip files and archives, and text in other encodings: what stands in them is read, within limits."""

import gzip
import io
import json
import tarfile
from contextlib import suppress
from typing import Any

import pytest

from songline.processors.imports import archive_files, plain_file
from songline.processors.imports.rows import UnreadableHistoryError
from tests.support.histories import lastfm_table, listenbrainz_row, spotify
from tests.unit.imports.test_odd_histories import HEARD, LISTEN, packed, read, text


@pytest.mark.parametrize(
    "data",
    [lastfm_table([HEARD]), text(json.dumps(listenbrainz_row(HEARD))), spotify([HEARD])],
    ids=["csv", "lines", "array"],
)
def test_a_packed_file_is_read_as_it_stands(data: bytes) -> None:
    assert read(gzip.compress(data)) == read(data) == [LISTEN]
    # Members of a gzip file follow each other, and so do files in an archive.
    half = len(data) // 2
    assert read(gzip.compress(data[:half]) + gzip.compress(data[half:])) == [LISTEN]
    assert read(packed(a=gzip.compress(data), b=b"[]")) == [LISTEN]


def test_a_list_of_nothing_is_a_history_without_rows() -> None:
    assert read(b" []\n") == []
    assert read(b"[\n \n]\n") == []
    assert read(packed(a=b"[]")) == []
    assert read(gzip.compress(b"[]")) == []


def tar(mode: Any, **files: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_archive_is_read_as_a_zip_archive_is(mode: str) -> None:
    data = tar(mode, note=b"hello", nothing=b"", year=spotify([HEARD]), table=lastfm_table([HEARD]))
    assert read(data) == [LISTEN, LISTEN]
    with pytest.raises(UnreadableHistoryError, match="without a history"):
        read(tar(mode, note=b"hello"))
    with pytest.raises(UnreadableHistoryError, match=r"can't be (read|unpacked|opened)|Export or download it again"):
        read(tar(mode, year=spotify(50 * [HEARD]))[: 600 if mode == "w" else -60])


def test_archives_inside_an_archive_are_read() -> None:
    year = packed(year=spotify([HEARD]))
    data = packed(first=year, second=tar("w:gz", table=lastfm_table([HEARD])), third=gzip.compress(year), note=b"x")
    assert read(data) == [LISTEN, LISTEN, LISTEN]
    assert read(packed(outer=packed(inner=year))) == [LISTEN]
    with pytest.raises(UnreadableHistoryError, match="without a history"):
        read(packed(a=packed(b=packed(c=year))))


def test_archives_inside_an_archive_share_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    year = packed(year=spotify([HEARD]), other=b"x")
    assert read(packed(a=year, b=year)) == [LISTEN, LISTEN]
    for name, value, words in (
        ("MAX_FILES", 5, "expected at most 5"),
        ("MAX_INNER_BYTES", 100, "unpack the outer one"),
        ("MAX_UNPACKED_BYTES", 800, "unpacks to more than"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(archive_files, name, value)
            with pytest.raises(UnreadableHistoryError, match=words):
                read(packed(a=year, b=year))


@pytest.mark.parametrize("begin", [b"\0\0\0\x20ftypisom", b"\x01\0\x02\0\x03\x04", b"a\rb\0"])
def test_a_large_file_beside_a_history_that_is_no_text_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(plain_file, "MAX_WIDE_BYTES", 100)
    assert read(packed(video=begin + 300 * b"x", year=spotify([HEARD]))) == [LISTEN]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"7z\xbc\xaf\x27\x1c\0\4", "It is a 7z archive: unpack it"),
        (b"Rar!\x1a\x07\0", "It is a RAR archive: unpack it"),
        (b"\xfd7zXZ\0\0", "It is an xz file: unpack it"),
        (b"BZh91AY&SY", "It is a bzip2 file: unpack it"),
        (b" \n\n", "It is empty"),
    ],
)
def test_packed_in_another_way_is_told(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableHistoryError, match=words):
        read(data)


def test_a_packed_file_that_is_cut_or_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress(spotify([HEARD]) + 300_000 * b" ")
    assert read(data) == [LISTEN]
    for broken in (data[:-10], data[:20], b"\x1f\x8b" + 50 * b"x"):
        with pytest.raises(UnreadableHistoryError, match="can't be unpacked"):
            read(broken)
    monkeypatch.setattr(plain_file, "MAX_UNPACKED_BYTES", 100_000)
    with pytest.raises(UnreadableHistoryError, match="unpacks to more than"):
        read(data)


def test_an_archive_that_lacks_a_byte_is_refused() -> None:
    data = packed(a=spotify([HEARD]), b=b"[]")
    for place in range(4, len(data) - 22):
        with suppress(UnreadableHistoryError):
            assert read(data[:place] + data[place + 1 :]) == [LISTEN]
    with pytest.raises(UnreadableHistoryError, match="can't be unpacked"):
        read(data[:5] + data[6:])


def test_text_in_utf_16_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = "uts,artist,track\n".encode("utf-16")
    assert read(data) == []
    monkeypatch.setattr(plain_file, "MAX_WIDE_BYTES", 10)
    with pytest.raises(UnreadableHistoryError, match="save it as UTF-8"):
        read(data)
