"""The keys of a data folder, which localcloud reads too."""

from pathlib import Path

import msgspec
import pytest

from localcloud import account_keys
from songline.processes.cloud_keys import FILE, PUBLISHED, CloudKeysError, kept_keys, make_keys, read_keys


def test_localcloud_reads_what_was_made_here_and_the_other_way_round(tmp_path: Path) -> None:
    made = make_keys(tmp_path)
    theirs = account_keys.read_keys(tmp_path)
    assert theirs is not None
    assert msgspec.to_builtins(theirs) == msgspec.to_builtins(made)
    (tmp_path / FILE).unlink()
    theirs = account_keys.make_keys(tmp_path)
    assert msgspec.to_builtins(read_keys(tmp_path)) == msgspec.to_builtins(theirs)


def test_published_keys_are_localclouds() -> None:
    dev = account_keys.DEV_KEYS
    assert (PUBLISHED.sas, PUBLISHED.cosmos, PUBLISHED.blob) == (dev.sas, dev.cosmos, dev.blob)


def test_keys_are_made_on_the_first_start_and_stay(tmp_path: Path) -> None:
    said: list[str] = []
    made = kept_keys(tmp_path, said.append)
    (tmp_path / "cosmos").mkdir()
    assert kept_keys(tmp_path, said.append) == made != PUBLISHED
    assert said == []
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_data_under_published_keys_gets_keys_of_its_own_and_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "cosmos").mkdir()
    said: list[str] = []
    made = kept_keys(tmp_path, said.append)
    assert kept_keys(tmp_path, said.append) == made
    (line,) = said
    assert str(tmp_path / FILE) in line
    assert "--dev-keys" in line
    assert not any(key in line for key in msgspec.to_builtins(made).values())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"sas": "c2VjcmV0"}', b'{"sas": 1}', b"[" * 100_000])
def test_a_damaged_file_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(CloudKeysError) as caught:
        kept_keys(tmp_path, print)
    assert str(tmp_path / FILE) in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)
    assert (tmp_path / FILE).read_bytes() == content


def test_keys_are_not_shown(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    assert not any(key in f"{keys!r} {keys}" for key in msgspec.to_builtins(keys).values())
