"""Settings of identity: whose tokens are taken, and which client gets them for the commands."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from songline.cloud.settings import Secret, SettingError

ISSUER = "SONGLINE_ISSUER"
AUDIENCE = "SONGLINE_AUDIENCE"
JWKS = "SONGLINE_JWKS"
SUBJECT_CLAIM = "SONGLINE_SUBJECT_CLAIM"
CLIENT_ID = "SONGLINE_CLIENT_ID"
CLIENT_SECRET = "SONGLINE_CLIENT_SECRET"  # noqa: S105 - a name
CLIENT_SECRET_FILE = "SONGLINE_CLIENT_SECRET_FILE"  # noqa: S105 - a name
TOKEN = "SONGLINE_TOKEN"  # noqa: S105 - a name
TOKEN_FILE = "SONGLINE_TOKEN_FILE"  # noqa: S105 - a name
TOKEN_SCOPE = "SONGLINE_TOKEN_SCOPE"  # noqa: S105 - a name
MAX_SECRET_BYTES = 4_096
SUB = "sub"
"""The claim that names the subject, unless another is set."""
CHANGING = frozenset({"email", "name", "nickname", "preferred_username", "unique_name", "upn"})
"""Claims that users can change, or that pass from one to another."""
_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_USER = re.compile(r"//[^/?#]*@")


class VerifierSettings(Struct, frozen=True):
    """Whose tokens are good, and for whom they have to be. Without `jwks` the discovery document names the keys.

    `subject_claim` says whom a token is about.
    """

    issuer: str
    audience: str
    jwks: str | None = None
    subject_claim: str = SUB

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "VerifierSettings":
        """Raises SettingError."""
        audience = environ.get(AUDIENCE, "")
        if not audience:
            raise SettingError(AUDIENCE, "nothing", "the audience of this API's tokens, such as songline")
        jwks = environ.get(JWKS)
        return cls(read_issuer(environ), audience, _keys_address(jwks) if jwks else None, _subject_claim(environ))


class ClientSettings(Struct, frozen=True):
    """A client of the issuer, with its secret."""

    issuer: str
    client_id: str
    secret: Secret

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "ClientSettings":
        """Raises SettingError."""
        issuer = read_issuer(environ)
        client_id = environ.get(CLIENT_ID, "")
        if not client_id:
            raise SettingError(CLIENT_ID, "nothing", "the name of a client that the issuer knows")
        return cls(issuer, client_id, read_secret(environ, CLIENT_SECRET, CLIENT_SECRET_FILE))


def _subject_claim(environ: Mapping[str, str]) -> str:
    claim = environ.get(SUBJECT_CLAIM) or SUB
    if _CLAIM.fullmatch(claim) is None or claim in CHANGING:
        expected = "a claim that names each user once and for good: sub, or Entra's oid"
        raise SettingError(SUBJECT_CLAIM, repr(claim[:200]), expected)
    return claim


def _keys_address(address: str) -> str:
    """Where the keys are: a safe address, or a file of this machine. Raises SettingError."""
    if address.startswith("file:"):
        if not address.startswith("file:///") or not address.isprintable():
            raise SettingError(JWKS, repr(address[:200]), "an absolute file, such as file:///srv/identity/jwks.json")
        return address
    return safe_address(JWKS, address)


def read_issuer(environ: Mapping[str, str]) -> str:
    """The issuer's address, as tokens name it; raises SettingError."""
    issuer = environ.get(ISSUER, "")
    if not issuer:
        raise SettingError(ISSUER, "nothing", "the address of an issuer of access tokens")
    return safe_address(ISSUER, issuer)


def safe_address(name: str, address: str) -> str:
    """`address`, where a secret may be sent to it: HTTPS, or HTTP on this machine. Raises SettingError for `name`."""
    expected = "an address such as https://login.example/tenant/v2.0; HTTP on this machine only"
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        # urlsplit takes line breaks and the spaces around an address away.
        fits = host and address.isprintable() and " " not in address
        fits = fits and "@" not in parts.netloc and not parts.fragment and parts.port != 0
        fits = fits and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
    except ValueError:
        fits = False
    if not fits:
        # A password in an address is a secret, too.
        raise SettingError(name, repr(_USER.sub("//***@", address)[:200]), expected)
    return address


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def read_secret(environ: Mapping[str, str], name: str, file_name: str) -> Secret:
    """The secret that `name` holds, or the file that `file_name` names; raises SettingError."""
    text = environ.get(name, "")
    if text:
        return Secret(text)
    file = environ.get(file_name, "")
    if not file:
        raise SettingError(file_name, "nothing", f"a file with the client's secret, or {name}")
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(MAX_SECRET_BYTES).decode("utf-8").strip()
    except OSError as error:
        raise SettingError(file_name, f"{file!r}: {error.strerror}", "a file with the client's secret") from None
    except ValueError:
        text = ""
    if not text:
        raise SettingError(file_name, f"{file!r} without text", "a file with the client's secret, in UTF-8")
    return Secret(text)
