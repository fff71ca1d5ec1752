"""What the issuer's token endpoint answered."""

from typing import Any

import pytest

from songline.api.session.token_grants import GrantedTokens, UnfitTokensError, check_nonce, read_grant, read_tokens
from tests.support.tokens import ISSUER, NOW_S, SETTINGS, token

PAGE = "songline-page"


def identity(**changes: Any) -> GrantedTokens:
    return GrantedTokens(token(), id_token=token(**{"aud": PAGE, "nonce": "n-1", **changes}))


def test_an_access_token_says_whom_it_is_about() -> None:
    grant = read_grant(GrantedTokens(token()), SETTINGS, NOW_S)
    assert (grant.caller.subject, grant.expires_s) == ("user-7", NOW_S + 600)
    assert grant.caller.scopes == {"library:read", "charts:read"}


@pytest.mark.parametrize(
    "text",
    [
        "opaque",
        "a.b",
        "a.b.c",
        "a.%.c",
        token(aud="another"),
        token(iss="https://evil.example"),
        token(exp=NOW_S - 60),
        token(sub=None),
    ],
)
def test_a_token_that_the_api_would_refuse_is_seen_at_once(text: str) -> None:
    with pytest.raises(UnfitTokensError):
        read_grant(GrantedTokens(text), SETTINGS, NOW_S)


def test_an_id_token_is_of_this_sign_in() -> None:
    check_nonce(identity(), ISSUER, PAGE, "n-1", NOW_S)
    check_nonce(GrantedTokens(token()), ISSUER, PAGE, "n-1", NOW_S)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "n-2"},
        {"nonce": None},
        {"nonce": 1},
        {"aud": "songline"},
        {"iss": "https://evil.example"},
        {"exp": NOW_S - 60},
    ],
)
def test_an_id_token_of_another_one_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UnfitTokensError):
        check_nonce(identity(**changes), ISSUER, PAGE, "n-1", NOW_S)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"access_token": 1}', b"<html>"])
def test_an_answer_without_tokens_is_none(body: bytes) -> None:
    with pytest.raises(UnfitTokensError):
        read_tokens(body)
