"""Shared access keys and shared access signatures, as Event Hubs and Service Bus use them.

A token is `SharedAccessSignature sr=<audience>&sig=<base64>&se=<unix seconds>&skn=<key name>`, each value
percent-encoded; the signature is HMAC-SHA256 over the encoded audience, a newline and the expiry. Source:
"Authenticate access to Event Hubs resources using shared access signatures" (Microsoft Learn).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import quote_plus, unquote, unquote_plus

from localcloud.published_keys import SAS_KEY, SAS_KEY_NAME

PREFIX = "SharedAccessSignature "
_HOST: Final = re.compile(r".*:[0-9]+|.*\.servicebus\.windows\.net")
DEVELOPMENT_KEYS = MappingProxyType({SAS_KEY_NAME: SAS_KEY})


class CredentialError(Exception):
    """A credential was refused. The reason is logged; the client gets 401 only."""


class MalformedTokenError(CredentialError):
    """The text is not a token, or lacks a field."""


class UnknownKeyError(CredentialError):
    """There is no key of that name."""


class WrongSignatureError(CredentialError):
    """The signature, or the key itself, is not the one that this key gives."""


class ExpiredTokenError(CredentialError):
    """The token was good until a moment that has passed."""


class OutOfScopeError(CredentialError):
    """The token is good, for another resource."""


class Right(StrEnum):
    """What a credential may allow in a namespace. The service calls it a claim."""

    MANAGE = "Manage"
    SEND = "Send"
    LISTEN = "Listen"


ALL_RIGHTS: Final = frozenset(Right)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a credential allows: `rights` at and below the path `scope`, until `expires` (unix seconds)."""

    scope: str
    expires: float
    rights: frozenset[Right] = ALL_RIGHTS

    def covers(self, path: str) -> bool:
        return not self.scope or f"{path.strip('/').lower()}/".startswith(f"{self.scope}/")


class Keys(Mapping[str, str]):
    """The namespace's shared access keys, by name.

    Every key carries all rights (manage, send, listen), as the emulators' one key does.
    """

    def __init__(self, secrets: Mapping[str, str] = DEVELOPMENT_KEYS) -> None:
        self._secrets = dict(secrets)

    def __getitem__(self, name: str) -> str:
        return self._secrets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return f"Keys({', '.join(self._secrets)})"

    def sign(self, name: str, audience: str, expires: int) -> str:
        """A token for `audience` under the key `name`, good until `expires` (unix seconds).

        Raises UnknownKeyError.
        """
        encoded = quote_plus(audience)
        signature = quote_plus(self._signature(name, encoded, str(expires)))
        return f"{PREFIX}sr={encoded}&sig={signature}&se={expires}&skn={quote_plus(name)}"

    def check_token(self, token: str, path: str, now: float) -> Grant:
        """What `token` grants, given that it is genuine, still good at `now` and covers `path` (`hub/$management`).

        Hosts are not compared, since one machine has many names. Raises one of the kinds of CredentialError.
        """
        if not token.startswith(PREFIX):
            # Nothing of it is shown: who takes the one for the other sends the key itself.
            raise MalformedTokenError(f"a token starts with {PREFIX!r}, this one of {len(token)} characters does not")
        fields = dict(part.split("=", 1) for part in token[len(PREFIX) :].split("&") if "=" in part)
        try:
            audience, signature, expiry, name = (fields[key] for key in ("sr", "sig", "se", "skn"))
        except KeyError as missing:
            raise MalformedTokenError(f"the token has no field {missing}") from None
        if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12):
            raise MalformedTokenError(f"se={expiry[:22]!r} is not a number of seconds")
        expires = int(expiry)
        expected = self._signature(unquote_plus(name), audience, expiry)
        if not _same(expected, unquote_plus(signature)):
            raise WrongSignatureError(f"the signature does not fit key {unquote_plus(name)!r} and sr={audience}")
        if expires <= now:
            raise ExpiredTokenError(f"the token expired {now - expires:.0f} s ago")
        grant = Grant(resource_path(unquote_plus(audience)), expires)
        if not grant.covers(path):
            raise OutOfScopeError(f"the token is for {grant.scope!r}, not for {path!r}")
        return grant

    def check_secret(self, name: str, secret: str) -> None:
        """Raises UnknownKeyError, or WrongSignatureError when `secret` is not that key."""
        if name not in self._secrets:
            raise UnknownKeyError(f"there is no key {name!r}")
        if not _same(self._secrets[name], secret):
            raise WrongSignatureError(f"that is not the secret of key {name!r}")

    def check_connection_string(self, text: str) -> str | None:
        """The entity that a connection string is limited to (EntityPath), None for the whole namespace.

        This is the password that Kafka clients send for the user `$ConnectionString`. Raises one of the kinds of
        Unauthorized.
        """
        fields = {
            name.strip().lower(): value.strip()
            for name, equals, value in (part.partition("=") for part in text.split(";"))
            if equals
        }
        try:
            name, secret = fields["sharedaccesskeyname"], fields["sharedaccesskey"]
        except KeyError as missing:
            raise MalformedTokenError(f"the connection string has no field {missing}") from None
        self.check_secret(name, secret)
        return fields.get("entitypath")

    def _signature(self, name: str, encoded_audience: str, expiry: str) -> str:
        if name not in self._secrets:
            raise UnknownKeyError(f"there is no key {name!r}")
        signed = f"{encoded_audience}\n{expiry}".encode()
        return base64.b64encode(hmac.digest(self._secrets[name].encode(), signed, hashlib.sha256)).decode()


def resource_path(resource: str) -> str:
    """The path of a resource in the form that is compared: lower case, without scheme, host and empty segments.

    A resource without a scheme begins with a host where no entity could have that name: a port, or Azure's domain.

    >>> resource_path("sb://127.0.0.1:5672/Orders/ConsumerGroups/%24Default/")
    'orders/consumergroups/$default'
    >>> resource_path("127.0.0.1:5672/Orders") == resource_path("Orders")
    True
    """
    decoded = unquote(resource).lower()
    scheme, separator, rest = decoded.partition("://")
    segments = (rest if separator else scheme).split("/")
    if separator or _HOST.fullmatch(segments[0]):
        del segments[0]
    return "/".join(filter(None, segments))


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
