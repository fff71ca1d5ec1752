"""An access token as its bearer has it, and where a token comes from that was not fetched."""

import re
from collections.abc import Mapping
from math import inf
from pathlib import Path

from msgspec import Struct

from songline.cloud.settings import Secret, SettingError
from songline.identity.settings import TOKEN, TOKEN_FILE

MAX_TOKEN_BYTES = 16_384
# RFC 6750, section 2.1.
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class AccessToken(Struct, frozen=True):
    """A token, and the seconds from now for which it is good; of a token that is given those are not known."""

    text: Secret
    lasts_s: float = inf


def given_token(environ: Mapping[str, str], file: Path | None) -> tuple[str, Path | Secret] | None:
    """The token that is given instead of one of the issuer: the name of its place, and the token or its file.

    `file`, which an option names, goes before `SONGLINE_TOKEN`, and that before `SONGLINE_TOKEN_FILE`.
    """
    if file is not None:
        return str(file), file
    if environ.get(TOKEN):
        return TOKEN, Secret(environ[TOKEN])
    if environ.get(TOKEN_FILE):
        return TOKEN_FILE, Path(environ[TOKEN_FILE])
    return None


def read_token(name: str, place: Path | Secret) -> AccessToken:
    """The token of `given_token`. Raises SettingError, whose words have nothing of the token."""
    if isinstance(place, Secret):
        return AccessToken(checked_token(name, place.reveal()))
    try:
        with place.open("rb") as opened:
            content = opened.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise SettingError(name, f"{str(place)!r}: {error.strerror}", "a file with an access token") from None
    return AccessToken(checked_token(name, content.decode("utf-8", "replace")))


def checked_token(name: str, text: str) -> Secret:
    """`text` without spaces around it, as a token that fits a header; raises SettingError for `name`."""
    found = text.strip()
    if len(found) > MAX_TOKEN_BYTES or _B64TOKEN.fullmatch(found) is None:
        expected = "an access token alone: letters, digits and -._~+/, as `songline token` prints one"
        raise SettingError(name, f"{len(found):,} characters that are no token", expected)
    return Secret(found)
