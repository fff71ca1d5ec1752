"""Subjects of issuers as ids of listeners."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.cloud.settings import SettingError
from songline.identity.caller import Caller, CallerRefusal, RefusalReason
from songline.identity.key_set import read_key_set
from songline.identity.listener_id import listener_id
from songline.identity.settings import CHANGING, SUBJECT_CLAIM, VerifierSettings
from songline.identity.token_check import check_token, read_header
from songline.schemas.forgotten import is_forgotten
from songline.schemas.types import ID_PATTERN
from tests.support.tokens import ISSUER, NOW_S, key_set, token
from tests.unit.identity.test_settings import HERE

ODD = [
    "auth0|7",
    "ada@example.org",
    "https://login.example/users/7",
    "CN=Ada Lovelace,OU=Music,O=Example",
    "Zoë",
    "..",
    "user 7",
    "x" * 129,
    "sub:0123456789abcdef0123456789abcdef",
    "sub:",
    "forgotten:0123456789abcdef0123456789abcdef",
]


@pytest.mark.parametrize(
    "subject", ["user-7", "4f9ab012-0000-4000-8000-00000000000a", "AAAA_x-1", "a:b", "forgotten:7"]
)
def test_a_subject_that_is_an_id_is_the_listeners(subject: str) -> None:
    assert listener_id(subject) == subject


@pytest.mark.parametrize("subject", ODD)
def test_another_subject_has_an_id_of_its_own(subject: str) -> None:
    made = listener_id(subject)
    assert re.fullmatch(r"sub:[0-9a-f]{32}", made)
    # Nobody who chooses that id for a subject gets what is the other one's.
    assert listener_id(made) not in (made, subject)


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_two_subjects_share_an_id_and_each_id_is_one(one: str, other: str) -> None:
    for subject in (one, other):
        made = listener_id(subject)
        assert re.search(ID_PATTERN, made)
        assert not is_forgotten(made)
        assert made == listener_id(subject)
    assert (listener_id(one) == listener_id(other)) == (one == other)


KEYS = read_key_set(key_set())
BY_OID = VerifierSettings(ISSUER, "songline", subject_claim="oid")


def checked(settings: VerifierSettings, **changes: Any) -> Caller | CallerRefusal:
    text = token("ES256", **changes)
    header = read_header(text)
    assert not isinstance(header, CallerRefusal)
    return check_token(text, header, KEYS[header.kid], settings, NOW_S)


def test_a_token_is_about_the_id_of_its_subject() -> None:
    found = checked(VerifierSettings(ISSUER, "songline"), sub="auth0|7")
    assert isinstance(found, Caller)
    assert found.subject == listener_id("auth0|7")


def test_the_claim_of_the_subject_is_a_setting() -> None:
    found = checked(BY_OID, sub="pairwise", oid="4f9ab012-0000-4000-8000-00000000000a")
    assert isinstance(found, Caller)
    assert found.subject == "4f9ab012-0000-4000-8000-00000000000a"
    custom = VerifierSettings(ISSUER, "songline", subject_claim="https://songline.example/listener")
    found = checked(custom, **{"https://songline.example/listener": "user-9"})
    assert isinstance(found, Caller)
    assert found.subject == "user-9"


@pytest.mark.parametrize("value", [None, "", 7, ["user-7"], {"sub": "user-7"}, True, "x" * 257, "user-7\n"])
def test_a_token_without_that_claim_is_about_nobody(value: object) -> None:
    assert checked(BY_OID, sub="user-7", oid=value) == CallerRefusal(RefusalReason.CLAIMS)


def test_what_names_a_user_for_a_while_names_no_listener() -> None:
    assert VerifierSettings.read({**HERE, SUBJECT_CLAIM: "oid"}).subject_claim == "oid"
    assert VerifierSettings.read({**HERE, SUBJECT_CLAIM: ""}).subject_claim == "sub"
    for claim in (*CHANGING, "o id", "oid\n", "x" * 129):
        with pytest.raises(SettingError, match=f"{SUBJECT_CLAIM}: saw .*, expected a claim that names each user once"):
            VerifierSettings.read({**HERE, SUBJECT_CLAIM: claim})
