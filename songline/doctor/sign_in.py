"""Whom Entra takes this process for."""

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from songline.cloud.credentials import EntraCredential, entra
from songline.doctor.facts import FailedQuestion
from songline.doctor.finding import Finding
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

SIGN_IN: Final = "az login, and az account set --subscription …; or run it where an identity is"
SCOPE: Final = "https://storage.azure.com/.default"
"""Which service's token it is does not matter: one sign-in is for all."""

_CHECK = "sign-in to Azure"


class _SignInClaims(Struct):
    """What names an account in a token: a user's sign-in, an app's id, the object that has roles."""

    oid: str = ""
    upn: str = ""
    appid: str = ""


_claims = Decoder(_SignInClaims, "not-a-token")


async def ask_sign_in(credential: EntraCredential | None = None) -> str:
    """Who the process's tokens are about, in words. Raises AzureError, MissingExtraError."""
    token = (await (credential or entra()).get_token(SCOPE)).token
    return described(token)


def sign_in_findings(whom: str | FailedQuestion | None) -> Iterator[Finding]:
    """Who that is. Without a token every service refuses us, each in words of its own."""
    match whom:
        case None:
            return
        case FailedQuestion(reason):
            yield Finding(_CHECK, "fail", reason, SIGN_IN)
        case _:
            yield Finding(_CHECK, "ok", whom)


def described(token: str) -> str:
    """Who a token is about. Its form is Entra's own affair: one that is none of ours to read is a sign-in as well."""
    try:
        payload = token.split(".")[1]
        claims = _claims.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, PoisonError):
        return "there is a token"
    named = claims.upn or claims.appid or "an identity"
    return f"{named}, whose roles are those of the principal {claims.oid}" if claims.oid else named
