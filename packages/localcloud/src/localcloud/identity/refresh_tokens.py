"""Refresh tokens: each is good once, and gives the next one of its family.

A file has their hashes, so that a sign-in outlives a restart and nobody can use what the file holds.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from localcloud.identity.errors import IdentityStateError, OAuthError
from localcloud.private_file import write_private
from localcloud.unreadable import UNREADABLE


class RefreshGrant(msgspec.Struct, frozen=True):
    """What a refresh token stands for, until `expires_s` (unix seconds). `used` ones are kept to know them again."""

    client_id: str
    subject: str
    scopes: tuple[str, ...]
    signed_in_s: float
    expires_s: float
    family: str
    used: bool = False


class RefreshTokens:
    """The refresh tokens of `file`. Every change is on disk before it is answered."""

    def __init__(self, file: Path, new_token: Callable[[], str]) -> None:
        """Raises IdentityStateError and OSError."""
        self._file = file
        self._new_token = new_token
        self._grants = _read(file)

    def issue(self, grant: RefreshGrant, now_s: float) -> str:
        """A new token. Raises OSError, and there is none then."""
        token = self._new_token()
        self._put({**self._unexpired(now_s), _hash(token): grant})
        return token

    def find(self, token: str, client_id: str, now_s: float) -> RefreshGrant:
        """What `token` stands for. Raises OAuthError, `invalid_grant`, and OSError.

        A token that comes again ends its whole family: a thief has it, or had it (RFC 9700, section 4.14.2).
        """
        grant = self._grants.get(_hash(token))
        if grant is None or grant.client_id != client_id or grant.expires_s <= now_s:
            raise OAuthError("invalid_grant", "the refresh token is not one of this client, was revoked, or is over")
        if grant.used:
            self.end_family(grant.family, now_s)
            raise OAuthError("invalid_grant", "the refresh token was used before: all of its sign-in are revoked")
        return grant

    def replace(self, token: str, grant: RefreshGrant, now_s: float) -> str:
        """The next token of the family, with `token` used by that. Raises OSError, and nothing has changed then."""
        following = self._new_token()
        used = msgspec.structs.replace(self._grants[_hash(token)], used=True)
        self._put({**self._unexpired(now_s), _hash(token): used, _hash(following): grant})
        return following

    def revoke(self, token: str, client_id: str, now_s: float) -> bool:
        """End the family of `token`, where that is one of this client; whether it is. Raises OSError."""
        grant = self._grants.get(_hash(token))
        if grant is None or grant.client_id != client_id:
            return False
        self.end_family(grant.family, now_s)
        return True

    def end_family(self, family: str, now_s: float) -> None:
        """Raises OSError, and nothing has changed then."""
        kept = {key: grant for key, grant in self._unexpired(now_s).items() if grant.family != family}
        if len(kept) != len(self._grants):
            self._put(kept)

    def _unexpired(self, now_s: float) -> dict[str, RefreshGrant]:
        return {key: grant for key, grant in self._grants.items() if grant.expires_s > now_s}

    def _put(self, grants: dict[str, RefreshGrant]) -> None:
        write_private(self._file, msgspec.json.encode(grants))
        self._grants = grants


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(file: Path) -> dict[str, RefreshGrant]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, RefreshGrant])
    except FileNotFoundError:
        return {}
    except UNREADABLE as error:
        raise IdentityStateError(
            f"{file} holds no refresh tokens: {error}. It was changed or damaged; delete it, and users sign in again"
        ) from None
