"""Settings of the page's sign-in: the client that the API is, and where browsers reach it."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from songline.api.session.cookies import CookieJar
from songline.api.session.paths import CALLBACK
from songline.api.session.session_key import SESSION_KEY, read_session_keys
from songline.cloud.settings import Secret, SettingError
from songline.identity.scopes import Scope
from songline.identity.settings import VerifierSettings, read_secret, safe_address
from songline.processes.environment import DATA, data_folder

PAGE_URL = "SONGLINE_PAGE_URL"
PAGE_CLIENT_ID = "SONGLINE_PAGE_CLIENT_ID"
PAGE_CLIENT_SECRET = "SONGLINE_PAGE_CLIENT_SECRET"  # noqa: S105 - a name
PAGE_CLIENT_SECRET_FILE = "SONGLINE_PAGE_CLIENT_SECRET_FILE"  # noqa: S105 - a name
PAGE_SCOPES = "SONGLINE_PAGE_SCOPES"
ENDED_FILE = "ended-sessions"
DEFAULT_SCOPES = (
    "openid",
    "offline_access",
    *(Scope.EVENTS_WRITE, Scope.SONGS_WRITE, Scope.LIBRARY_READ, Scope.CHARTS_READ),
)


class PageSettings(Struct, frozen=True):
    """The client `client_id` of the issuer, for browsers that reach this API at `url`, an origin. `scopes` is what it
    asks users for, `keys` seal its cookies. `ended` is the file of sessions that were signed out, None for none."""

    verifying: VerifierSettings
    client_id: str
    secret: Secret
    url: str
    scopes: tuple[str, ...]
    keys: tuple[bytes, ...]
    ended: Path | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "PageSettings | None":
        """The settings; None where no client is named. Raises SettingError."""
        client_id = environ.get(PAGE_CLIENT_ID, "")
        if not client_id:
            return None
        secret = read_secret(environ, PAGE_CLIENT_SECRET, PAGE_CLIENT_SECRET_FILE)
        scopes = tuple(environ.get(PAGE_SCOPES, "").split()) or DEFAULT_SCOPES
        # An API with a key by a setting may have no folder.
        has_folder = bool(environ.get(DATA) or not environ.get(SESSION_KEY))
        return cls(
            VerifierSettings.read(environ),
            client_id,
            secret,
            _origin(environ),
            scopes,
            read_session_keys(environ),
            data_folder(environ) / ENDED_FILE if has_folder else None,
        )

    @property
    def redirect_uri(self) -> str:
        return f"{self.url}{CALLBACK}"

    def jar(self, name: str) -> CookieJar:
        """The cookie `name` of this API. Ports share cookies: the name has the port where the address has one."""
        parts = urlsplit(self.url)
        return CookieJar(f"{name}-{parts.port}" if parts.port else name, secure=parts.scheme == "https")


def _origin(environ: Mapping[str, str]) -> str:
    text = environ.get(PAGE_URL, "").removesuffix("/")
    expected = "the address at which browsers reach this API, without a path, such as https://songline.example"
    if not text:
        raise SettingError(PAGE_URL, "nothing", expected)
    parts = urlsplit(safe_address(PAGE_URL, text))
    if parts.path or parts.query:
        raise SettingError(PAGE_URL, repr(text[:200]), expected)
    return text
