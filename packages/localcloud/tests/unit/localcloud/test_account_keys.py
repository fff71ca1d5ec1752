"""Keys of a data folder: made once, read again, and in no message."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from localcloud.account_keys import DEV_KEYS, FILE, AccountKeys, AccountKeysError, make_keys, read_keys


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    assert read_keys(tmp_path) is None
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(make_keys, [tmp_path] * 8))
    (keys,) = made
    assert read_keys(tmp_path) == keys
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    texts = msgspec.to_builtins(keys).values()
    assert len(set(texts)) == 4
    assert all(len(text) >= 40 for text in texts)
    assert not set(texts) & set(msgspec.to_builtins(DEV_KEYS).values())


def test_other_folders_have_other_keys(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one, other = (msgspec.to_builtins(make_keys(tmp_path / name)) for name in ("one", "other"))
    assert not set(one.values()) & set(other.values())


def test_keys_are_not_shown() -> None:
    keys = AccountKeys("AAAA", "BBBB", "CCCC", "DDDD")
    assert not any(key in f"{keys!r} {keys} {[keys]}" for key in msgspec.to_builtins(keys).values())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"sas": "c2VjcmV0"}',
        b'{"sas": "c2VjcmV0", "cosmos": "c2VjcmV0", "blob": "c2VjcmV0", "control": ""}',
        b'{"sas": "c2VjcmV0", "cosmos": "c2VjcmV0?", "blob": "c2VjcmV0", "control": "c2VjcmV0"}',
        b'{"sas": "c2VjcmV0;x", "cosmos": "c2VjcmV0", "blob": "c2VjcmV0", "control": "c2VjcmV0"}',
        b'{"sas": ["c2VjcmV0"], "cosmos": "c2VjcmV0", "blob": "c2VjcmV0", "control": "c2VjcmV0"}',
        b'{"sas": "c2VjcmV0", "cosmos": "c2VjcmV0", "blob": "c2VjcmV0", "control": null}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(AccountKeysError) as caught:
        make_keys(tmp_path)
    assert str(tmp_path / FILE) in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)
    # It is not replaced: it may be all that is needed to read on.
    assert (tmp_path / FILE).read_bytes() == content
