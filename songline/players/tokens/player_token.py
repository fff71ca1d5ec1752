"""A player's token: what a listener gives to one of their players, so that it may report plays and ask for music.

Players can't sign in, and keep what they are given for years. Their tokens are therefore not the issuer's: each names
one listener and one player, has scopes, and lasts until it is revoked. A token's text is a random UUID, the form that
ListenBrainz' tokens have. It is shown once; what is stored has its SHA-256 as id.

A player shows the text as it is: `Authorization: Token TEXT` of ListenBrainz, `apiKey=TEXT` of OpenSubsonic. Players
that know only Subsonic's older scheme send `t = md5(TEXT + salt)`: to check that, the text itself is needed. A token
that is made for them (`is_salted`) is stored with its text sealed by the key that SONGLINE_TOKEN_KEY_FILE or
SONGLINE_TOKEN_KEY names. Without such a key there are no such tokens, and `t` is refused.

    made = new_token(user_id, player, scopes, now, random_bytes)          # made.text, made.token
    sealed = sealed_for_salt(made, sealer)                                # only for players that salt
    id_of(text)                                                           # the id under which a text is stored
    is_salted_proof(token, sealer, salt, proof)                           # Subsonic's t and s
"""

import hashlib
import hmac
import re
import uuid
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct, structs

from songline.api.session.sealing import Sealer
from songline.cloud.settings import HiddenStruct
from songline.identity.caller import Caller
from songline.identity.scopes import Scope
from songline.schemas.texts import SEEN_PATTERN
from songline.schemas.types import PATTERNS, Id, Moment, Sha256

PLAYER_SCOPES = (Scope.EVENTS_WRITE, Scope.LIBRARY_READ, Scope.CHARTS_READ)
"""What a player needs: to report plays and likes, to read them back, and to find and stream songs."""
ALLOWED_SCOPES = (*PLAYER_SCOPES, Scope.SONGS_WRITE)
"""What a player's token may have: a listener's own. It never acts for others."""

MAX_TOKENS = 100
"""So many tokens one listener may have at a time."""
MAX_PLAYER = 64
TEXT_BYTES = 16
SHORT_ID = 12
"""So many digits of an id are shown, and name a token."""

_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

PlayerName = Annotated[
    str, Meta(min_length=1, max_length=MAX_PLAYER, pattern=SEEN_PATTERN, description=PATTERNS[SEEN_PATTERN])
]


class PlayerToken(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A token as it is stored. `id` is the SHA-256 of its text. `sealed` is the text itself, sealed, of a token for
    players that send a salted digest of it. `used_at` is the last use, some minutes late."""

    id: Sha256
    user_id: Id
    player: PlayerName
    scopes: tuple[Scope, ...]
    created_at: Moment
    used_at: Moment | None = None
    sealed: str | None = None

    @property
    def short_id(self) -> str:
        """What names the token for people."""
        return self.id[:SHORT_ID]

    @property
    def is_salted(self) -> bool:
        """Whether a salted digest of its text is enough."""
        return self.sealed is not None

    @property
    def caller(self) -> Caller:
        """Who calls with this token."""
        return Caller(self.user_id, frozenset(self.scopes))


class NewToken(HiddenStruct, frozen=True):
    """A token with its text, which nothing keeps."""

    text: str
    token: PlayerToken


def new_token(
    user_id: str, player: str, scopes: tuple[Scope, ...], now: Moment, random_bytes: Callable[[int], bytes]
) -> NewToken:
    """A token for a player of the listener. Its 122 random bits need no salt, and no slow digest."""
    text = str(uuid.UUID(bytes=random_bytes(TEXT_BYTES), version=4))
    return NewToken(text, PlayerToken(id=id_of(text), user_id=user_id, player=player, scopes=scopes, created_at=now))


def id_of(text: str) -> str:
    """The id under which a token of this text is stored."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_text(text: str) -> str | None:
    """The text of a token as it is stored: players may change its case, or have spaces around it. None for a text that
    no token has."""
    found = text.strip().lower()
    return found if _TEXT.fullmatch(found) else None


def sealed_for_salt(made: NewToken, sealer: Sealer) -> PlayerToken:
    """The token with its text sealed, for players that send a salted digest of it."""
    return structs.replace(made.token, sealed=sealer.seal(_purpose(made.token), made.text.encode()))


def is_salted_proof(token: PlayerToken, sealer: Sealer, salt: str, proof: str) -> bool:
    """Whether `proof` is the MD5 of the token's text and `salt`, in hexadecimal digits of any case."""
    text = None if token.sealed is None else sealer.open(_purpose(token), token.sealed)
    if text is None:
        return False
    # MD5 is what the protocol asks for; what it digests has 122 random bits.
    expected = hashlib.md5(text + salt.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return hmac.compare_digest(expected.encode(), proof.lower().encode("utf-8", "surrogatepass"))


def _purpose(token: PlayerToken) -> str:
    return f"player token {token.id}"
