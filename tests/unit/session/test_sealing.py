"""Sealed texts and their keys."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.api.session.sealing import KEY_BYTES, Sealer
from songline.api.session.session_key import KEY_FILE, SESSION_KEY, read_session_keys
from songline.cloud.settings import SettingError
from songline.processes.environment import DATA

KEY, OTHER = b"k" * KEY_BYTES, b"o" * KEY_BYTES
FILE_MODE = 0o600


def encoded(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


@given(st.binary(max_size=200))
def test_what_is_sealed_is_opened(content: bytes) -> None:
    sealed = Sealer((KEY,)).seal("session", content)
    assert Sealer((KEY,)).open("session", sealed) == content
    assert set(sealed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.data())
def test_what_was_changed_is_not_opened(data: st.DataObject) -> None:
    sealed = bytearray(Sealer((KEY,)).seal("session", b"about user-7").encode())
    place = data.draw(st.integers(0, len(sealed) - 1))
    # The last sign has bits that stand for nothing.
    kept = base64.urlsafe_b64decode(bytes(sealed) + b"=" * (-len(sealed) % 4))
    sealed[place] = data.draw(st.sampled_from(b"AQgw_-09"))
    changed = base64.urlsafe_b64decode(bytes(sealed) + b"=" * (-len(sealed) % 4))
    opened = Sealer((KEY,)).open("session", sealed.decode())
    assert opened == (b"about user-7" if changed == kept else None)


@given(st.text(max_size=80))
def test_any_text_is_told_from_a_sealed_one(text: str) -> None:
    assert Sealer((KEY,)).open("session", text) is None


def test_what_is_sealed_for_one_purpose_is_nothing_for_another() -> None:
    sealed = Sealer((KEY,)).seal("sign-in", b"content")
    assert Sealer((KEY,)).open("session", sealed) is None


def test_the_same_content_never_looks_the_same() -> None:
    sealer = Sealer((KEY,))
    assert len({sealer.seal("session", b"content") for _ in range(100)}) == 100


def test_a_key_is_followed_by_another_one() -> None:
    sealed = Sealer((KEY,)).seal("session", b"content")
    assert Sealer((OTHER, KEY)).open("session", sealed) == b"content"
    assert Sealer((OTHER,)).open("session", sealed) is None
    assert Sealer((OTHER,)).open("session", Sealer((OTHER, KEY)).seal("session", b"new")) == b"new"


def test_a_key_is_made_once_and_is_its_owner_s(tmp_path: Path) -> None:
    environ = {DATA: str(tmp_path / "data")}
    keys = read_session_keys(environ)
    assert [len(key) for key in keys] == [KEY_BYTES]
    assert read_session_keys(environ) == keys
    assert [file.name for file in (tmp_path / "data").iterdir()] == [KEY_FILE]
    assert (tmp_path / "data" / KEY_FILE).stat().st_mode & 0o777 == FILE_MODE
    assert read_session_keys({DATA: str(tmp_path / "other")}) != keys


def test_keys_of_the_setting_come_first() -> None:
    assert read_session_keys({SESSION_KEY: f"{encoded(KEY)}, {encoded(OTHER)}="}) == (KEY, OTHER)


@pytest.mark.parametrize("text", ["short", encoded(KEY[1:]), f"{encoded(KEY)},", "§" * 43, encoded(KEY * 2)])
def test_a_setting_that_is_no_key_is_refused_without_its_words(text: str) -> None:
    with pytest.raises(SettingError, match=SESSION_KEY) as error:
        read_session_keys({SESSION_KEY: text})
    assert text not in str(error.value)


@pytest.mark.parametrize("damage", [b"", b"damaged", b"\xff\xfe"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(damage)
    with pytest.raises(SettingError, match=r"session\.key"):
        read_session_keys({DATA: str(tmp_path)})


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SettingError, match=r"session\.key"):
        read_session_keys({DATA: str(tmp_path / "data")})
