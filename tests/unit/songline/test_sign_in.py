"""Whom the doctor says that Entra takes it for."""

import base64
import json
from types import TracebackType
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from songline.cloud.credentials import EntraCredential
from songline.doctor.sign_in import ask_sign_in, described


def token(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"header.{payload}.signature"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"oid": "1-2", "upn": "ada@example.org", "appid": "az"}, "ada@example.org, whose roles are those of"),
        ({"oid": "1-2", "appid": "3-4"}, "3-4, whose roles are those of the principal 1-2"),
        ({"oid": "1-2"}, "an identity, whose roles are those of the principal 1-2"),
        ({"appid": "3-4"}, "3-4"),
    ],
)
def test_an_account_is_named_with_the_principal_that_has_its_roles(claims: dict[str, str], said: str) -> None:
    assert described(token(**claims)).startswith(said)


@pytest.mark.parametrize("shown", ["", "opaque", "a.b", "a.!.c", "a.e30x.c", token(oid=7), token(oid=None)])
def test_a_token_that_is_not_ours_to_read_is_one(shown: str) -> None:
    assert described(shown) == "there is a token"


class Fetcher:
    """Fetches this token, or fails where there is none."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def get_token(self, *scopes: str) -> AccessToken:
        if self._token is None:
            raise ClientAuthenticationError("no credential")
        return AccessToken(self._token, 2**40)


async def test_a_token_is_asked_for_once() -> None:
    assert await ask_sign_in(EntraCredential(lambda: Fetcher(token(appid="3-4")))) == "3-4"
    with pytest.raises(ClientAuthenticationError):
        await ask_sign_in(EntraCredential(lambda: Fetcher(None)))
