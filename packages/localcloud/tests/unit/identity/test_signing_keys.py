"""Signing keys on the disk."""

import json
from pathlib import Path

import jwt
import pytest

from localcloud.identity.config import MAX_TOKEN_S, SigningAlgorithm
from localcloud.identity.errors import IdentityStateError
from localcloud.identity.signing_keys import SigningKeys, imported
from localcloud.identity.token_claims import signed

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k"}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_another_library_checks_what_a_key_signed(tmp_path: Path, algorithm: SigningAlgorithm) -> None:
    keys = SigningKeys(tmp_path / "keys.json", algorithm)
    token = signed({"sub": "ada"}, "at+jwt", keys.current(0))
    (public,) = jwt.PyJWKSet.from_dict(keys.public(0)).keys
    assert jwt.decode(token, public, algorithms=[algorithm]) == {"sub": "ada"}
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": public.key_id, "typ": "at+jwt"}


def test_a_key_is_taken_apart_once(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "keys.json", "ES256")
    first = imported(keys.current(0))
    assert imported(keys.current(1)) is first
    assert imported(keys.rotate(2)) is not first


def test_no_private_part_is_published(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "keys.json", "RS256")
    (public,) = keys.public(0)["keys"]
    assert not PRIVATE & public.keys()
    assert (public["use"], public["alg"]) == ("sig", "RS256")


def test_keys_stay_over_a_restart_in_a_file_of_their_owner(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    before = SigningKeys(file, "ES256").current(0)
    assert file.stat().st_mode & 0o777 == 0o600
    assert SigningKeys(file, "ES256").current(1) == before


def test_a_rotated_key_is_known_until_its_tokens_are_over(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "keys.json", "ES256")
    first = keys.current(0)
    second = keys.rotate(10)
    assert keys.current(11) == second
    again = SigningKeys(tmp_path / "keys.json", "ES256")
    for known in (keys, again):
        assert [key["kid"] for key in known.public(9 + MAX_TOKEN_S)["keys"]] == [first.kid, second.kid]
        assert [key["kid"] for key in known.public(10 + MAX_TOKEN_S)["keys"]] == [second.kid]


def test_nothing_is_rotated_where_it_can_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    keys = SigningKeys(folder / "keys.json", "ES256")
    first = keys.current(0)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="No such file"):
        keys.rotate(1)
    assert keys.current(2) == first


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"keys": [{"kid": "a"}]}', b"\xff\xfe"])
def test_a_damaged_file_is_named_and_not_shown(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "keys.json"
    SigningKeys(file, "ES256").current(0)
    secret = json.loads(file.read_bytes())["keys"][0]["jwk"]["d"]
    file.write_bytes(damage + secret.encode())
    with pytest.raises(IdentityStateError, match=r"keys\.json holds no signing keys.*Delete it") as raised:
        SigningKeys(file, "ES256")
    assert secret not in str(raised.value)


def test_public_keys_are_in_a_file_before_anything_is_signed_by_them(tmp_path: Path) -> None:
    file, public = tmp_path / "keys.json", tmp_path / "jwks.json"
    keys = SigningKeys(file, "ES256")
    assert not public.exists()
    for made in (keys.current, keys.rotate):
        kid = made(0).kid
        found = json.loads(public.read_bytes())
        assert found == keys.public(1)
        assert kid in [key["kid"] for key in found["keys"]]
        assert not any("d" in key for key in found["keys"])
        assert public.stat().st_mode & 0o777 == 0o600
    # A folder of an earlier version has no such file.
    public.unlink()
    SigningKeys(file, "ES256")
    assert json.loads(public.read_bytes()) == found
