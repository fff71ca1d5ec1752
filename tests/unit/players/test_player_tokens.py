"""Tokens of players: their texts, what is stored of them, and salted digests."""

import hashlib
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.api.session.sealing import KEY_BYTES, Sealer
from songline.cloud.settings import SettingError
from songline.identity.scopes import Scope
from songline.players.tokens.player_token import (
    PLAYER_SCOPES,
    NewToken,
    PlayerToken,
    id_of,
    is_salted_proof,
    new_token,
    read_text,
    sealed_for_salt,
)
from songline.players.tokens.token_key import TOKEN_KEY, TOKEN_KEY_FILE, make_key_file, read_sealer

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SEALER = Sealer((bytes(KEY_BYTES),))


def made(random: bytes = bytes(range(16))) -> NewToken:
    return new_token("user-7", "phone", PLAYER_SCOPES, NOON, lambda size: random[:size])


@given(st.binary(min_size=16, max_size=16))
def test_a_text_is_a_uuid_and_only_its_digest_is_stored(random: bytes) -> None:
    one = made(random)
    assert uuid.UUID(one.text).version == 4
    assert read_text(one.text) == one.text
    assert one.token.id == id_of(one.text) == hashlib.sha256(one.text.encode()).hexdigest()
    stored = msgspec.json.encode(one.token)
    assert one.text.encode() not in stored
    assert msgspec.json.decode(stored, type=PlayerToken) == one.token


def test_a_sealed_text_is_not_readable() -> None:
    one = made()
    assert one.text.encode() not in msgspec.json.encode(sealed_for_salt(one, SEALER))


@pytest.mark.parametrize("shape", [str.upper, "  {}".format, "{}\r\n".format])
def test_players_may_change_the_form_of_a_text(shape: object) -> None:
    one = made()
    assert read_text(shape(one.text)) == one.text  # type: ignore[operator]


@given(st.text())
def test_other_texts_are_none(text: str) -> None:
    found = read_text(text)
    assert found is None or re.fullmatch(r"[0-9a-f-]{36}", found)


@given(st.binary(min_size=16, max_size=16), st.text())
def test_a_salted_digest_of_the_text_is_a_proof(random: bytes, salt: str) -> None:
    one = made(random)
    token = sealed_for_salt(one, SEALER)
    digest = hashlib.md5(one.text.encode() + salt.encode("utf-8", "surrogatepass")).hexdigest()
    assert is_salted_proof(token, SEALER, salt, digest)
    assert is_salted_proof(token, SEALER, salt, digest.upper())
    assert not is_salted_proof(token, SEALER, salt + "x", digest)
    assert not is_salted_proof(token, SEALER, salt, digest[:-1])
    assert not is_salted_proof(token, SEALER, salt, "ü")
    assert not is_salted_proof(token, Sealer((b"k" * KEY_BYTES,)), salt, digest), "another key"
    assert not is_salted_proof(one.token, SEALER, salt, digest), "its text is not kept"


def test_a_sealed_text_is_of_no_other_token() -> None:
    one, other = made(), made(bytes(16))
    token = msgspec.structs.replace(other.token, sealed=sealed_for_salt(one, SEALER).sealed)
    assert not is_salted_proof(token, SEALER, "s", hashlib.md5((one.text + "s").encode()).hexdigest())


def test_a_caller_has_the_tokens_scopes_and_no_others() -> None:
    caller = made().token.caller
    assert caller.subject == "user-7"
    assert {scope for scope in Scope if caller.may(scope)} == set(PLAYER_SCOPES)


def test_a_key_of_the_setting_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "token.key"
    make_key_file(file)
    assert file.stat().st_mode & 0o777 == 0o600
    first = file.read_bytes()
    make_key_file(file)
    assert file.read_bytes() == first, "it is made once"
    sealed = sealed_for_salt(made(), read_sealer({TOKEN_KEY_FILE: str(file)}) or SEALER)
    digest = hashlib.md5((made().text + "s").encode()).hexdigest()
    again = read_sealer({TOKEN_KEY: first.decode().strip(), TOKEN_KEY_FILE: "/nowhere"})
    assert again is not None
    assert is_salted_proof(sealed, again, "s", digest)
    assert read_sealer({}) is None


def test_a_wrong_key_is_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "token.key"
    file.write_text("hidden")
    for environ in ({TOKEN_KEY: "hidden"}, {TOKEN_KEY_FILE: str(file)}, {TOKEN_KEY_FILE: str(tmp_path / "none")}):
        with pytest.raises(SettingError, match=next(iter(environ))) as error:
            read_sealer(environ)
        assert "hidden" not in str(error.value)
