"""How a player shows whom it plays for: an API key, or a salted digest of one. Never a password.

Source: OpenSubsonic, extension `apiKeyAuthentication` version 1, and "API reference", "Authentication".
"""

from typing import TypeAlias

from msgspec import Struct

from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError
from songline.players.opensubsonic.parameters import Parameters, missing

OLDER = ("u", "p", "t", "s")
_HOW = "`songline listener token USER` makes an API key; docs/opensubsonic.md tells how players take it"


class ApiKey(Struct, frozen=True):
    """The text of a token."""

    text: str


class SaltedProof(Struct, frozen=True):
    """The MD5 of a listener's token and a salt."""

    user_id: str
    salt: str
    proof: str


Credentials: TypeAlias = ApiKey | SaltedProof


def read_credentials(parameters: Parameters) -> Credentials:
    """What a request shows. Raises OpenSubsonicError."""
    key = parameters.text("apiKey")
    older = [name for name in OLDER if parameters.text(name) is not None]
    if key is not None:
        if older or len(parameters.values["apiKey"]) > 1:
            raise OpenSubsonicError(
                ErrorCode.MECHANISMS_CONFLICT,
                f"Multiple conflicting authentication mechanisms provided: saw apiKey beside "
                f"{', '.join(older) or 'another one'}, expected apiKey alone.",
            )
        return ApiKey(key)
    if any(len(parameters.values[name]) > 1 for name in older):
        raise OpenSubsonicError(
            ErrorCode.MECHANISMS_CONFLICT,
            "Multiple conflicting authentication mechanisms provided: saw a part of it twice, expected each once.",
        )
    if "p" in older:
        if "t" in older or "s" in older:
            raise OpenSubsonicError(
                ErrorCode.MECHANISMS_CONFLICT,
                "Multiple conflicting authentication mechanisms provided: saw p beside t and s.",
            )
        raise OpenSubsonicError(
            ErrorCode.MECHANISM_UNSUPPORTED,
            f"Provided authentication mechanism not supported: saw p, and nobody has a password here. {_HOW}.",
        )
    if not older:
        raise missing("apiKey")
    user_id, proof, salt = (parameters.required(name) for name in ("u", "t", "s"))
    return SaltedProof(user_id, salt, proof)


def no_such_key() -> OpenSubsonicError:
    """The error for a key that no token has, or one that was revoked."""
    return OpenSubsonicError(ErrorCode.INVALID_API_KEY, f"Invalid API key. {_HOW}.")


def no_salted_tokens() -> OpenSubsonicError:
    """The error where no key seals tokens, so that no digest can be checked."""
    return OpenSubsonicError(
        ErrorCode.NO_SALTED_TOKENS,
        "Token authentication not supported: saw t and s, expected apiKey. An operator who sets a key for tokens, see "
        "docs/opensubsonic.md, lets players show salted digests.",
    )


def wrong_proof() -> OpenSubsonicError:
    """The error for a digest that is none of a token of the listener."""
    return OpenSubsonicError(
        ErrorCode.WRONG_CREDENTIALS,
        "Wrong username or password: u is the listener's id, and the password a token that was made with --salted.",
    )
