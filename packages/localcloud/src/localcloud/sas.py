"""Shared access keys and shared access signatures, as Event Hubs and Service Bus use them.

A token is `SharedAccessSignature sr=<audience>&sig=<base64>&se=<unix seconds>&skn=<key name>`, each value
percent-encoded; the signature is HMAC-SHA256 over the encoded audience, a newline and the expiry. Source:
"Authenticate access to Event Hubs resources using shared access signatures" (Microsoft Learn).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
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


def all_rights(path: str) -> frozenset[Right]:
    return ALL_RIGHTS


@dataclass(frozen=True, slots=True)
class Grant:
    """What a credential allows at and below the path `scope`, until `expires` (unix seconds): `rights_at` a path."""

    scope: str
    expires: float
    rights_at: Callable[[str], frozenset[Right]] = all_rights

    def covers(self, path: str) -> bool:
        return not self.scope or f"{path.strip('/').lower()}/".startswith(f"{self.scope}/")


@dataclass(frozen=True, slots=True)
class AccessRule:
    """A shared access policy (an authorization rule): its keys, the primary and the secondary, and what they allow."""

    secrets: tuple[str, ...]
    rights: frozenset[Right]

    def rights_at(self, path: str) -> frozenset[Right]:
        """The same everywhere in what it is a rule of. Who may manage may send and listen."""
        return ALL_RIGHTS if Right.MANAGE in self.rights else self.rights


Rules = Callable[[str], Mapping[str, AccessRule]]
"""The rules of the entity at a path (lower case), by name; those of the namespace at ""."""


def no_rules(path: str) -> Mapping[str, AccessRule]:
    return {}


class Keys(Mapping[str, str]):
    """The namespace's shared access keys, by name, which carry all rights, as the emulators' one key does.

    `rules` gives keys with fewer rights, or of one entity.
    """

    def __init__(self, secrets: Mapping[str, str] = DEVELOPMENT_KEYS, rules: Rules = no_rules) -> None:
        self._secrets = dict(secrets)
        self._rules = rules

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
        rule = self._find(name, resource_path(audience))
        signature = quote_plus(_signature(rule.secrets[0], encoded, str(expires)))
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
        rule = self._find(unquote_plus(name), resource_path(unquote_plus(audience)))
        if not any(_same(_signature(one, audience, expiry), unquote_plus(signature)) for one in rule.secrets):
            raise WrongSignatureError(f"the signature does not fit key {unquote_plus(name)!r} and sr={audience}")
        if expires <= now:
            raise ExpiredTokenError(f"the token expired {now - expires:.0f} s ago")
        grant = Grant(resource_path(unquote_plus(audience)), expires, rule.rights_at)
        if not grant.covers(path):
            raise OutOfScopeError(f"the token is for {grant.scope!r}, not for {path!r}")
        return grant

    def check_secret(self, name: str, secret: str, entity: str = "") -> Grant:
        """What the key itself grants at `entity`, or in the namespace. Raises UnknownKeyError, or WrongSignatureError
        when `secret` is not that key."""
        path = resource_path(entity)
        rule = self._find(name, path)
        if not any(_same(one, secret) for one in rule.secrets):
            raise WrongSignatureError(f"that is not the secret of key {name!r}")
        return Grant(path, float("inf"), rule.rights_at)

    def check_connection_string(self, text: str) -> Grant:
        """What a connection string grants, at its EntityPath if it has one.

        This is the password that Kafka clients send for the user `$ConnectionString`. Raises one of the kinds of
        CredentialError.
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
        return self.check_secret(name, secret, fields.get("entitypath", ""))

    def _find(self, name: str, path: str) -> AccessRule:
        """The rule of that name, of the namespace or of an entity at or above `path`. Raises UnknownKeyError."""
        if name in self._secrets:
            return AccessRule((self._secrets[name],), ALL_RIGHTS)
        segments = path.split("/") if path else []
        for length in range(len(segments) + 1):
            rule = self._rules("/".join(segments[:length])).get(name)
            if rule is not None:
                return rule
        raise UnknownKeyError(f"there is no key {name!r}" + (f" at {path!r}" if path else ""))


def _signature(secret: str, encoded_audience: str, expiry: str) -> str:
    signed = f"{encoded_audience}\n{expiry}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()


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
