"""The names under which the API answers, and the origins whose pages may write to it.

Any page that a developer visits can send requests to 127.0.0.1. The page can't hide its origin: the browser sends it in
`Sec-Fetch-Site` and `Origin`. A foreign name that resolves to this machine stays visible in `Host`.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Protocol

from songline.cloud.settings import SettingError

HOSTS, ORIGINS = "SONGLINE_HOSTS", "SONGLINE_ORIGINS"
ANY = "*"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Source: RFC 9110 section 9.2.1."""
_PLAYER = "token "

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{0,5})?", re.ASCII)
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)


class Headers(Protocol):
    """The headers of a request, by lower-case name."""

    def get(self, name: str) -> str | None: ...


def is_ours(host: str, names: Sequence[str]) -> bool:
    """Whether the API answers under the header `Host`: one of `names`, any address, or a name without a dot.

    An attack by DNS rebinding needs a name that the attacker controls. An address or a name without a dot (localhost, a
    container's name) is none. Vite's `server.allowedHosts` and webpack's dev server have the same rule.
    `*.example.com` is every name below it.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["name"].lower().removesuffix(".")
    if ANY in names or ("." not in name and ":" not in name) or name.endswith(".localhost") or _is_address(name):
        return True
    return any(name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in names)


def is_foreign(method: str, headers: Headers, origins: Sequence[str]) -> str | None:
    """The foreign origin of a write from another site's page; None for every other request.

    Source: Go's net/http CrossOriginProtection, after "Cross-Site Request Forgery" by F. Valsorda. A client that is no
    browser sends neither header. Nor is a request foreign that shows a token of a player (`Token …`): a browser
    adds none by itself, and lets no page of another site add one. Extensions of browsers report plays so.
    """
    if method in SAFE or (headers.get("authorization") or "").lower().startswith(_PLAYER):
        return None
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if origin is not None and origin in origins:
        return None
    if site is not None:
        return None if site in ("same-origin", "none") else f"Sec-Fetch-Site: {site}"
    if origin is None or origin.partition("://")[2].lower() == (headers.get("host") or "").lower():
        return None
    return f"Origin: {origin}"


def read_hosts(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names that SONGLINE_HOSTS adds, with commas between; raises SettingError."""
    names = tuple(name.strip().lower().removesuffix(".") for name in environ.get(HOSTS, "").split(",") if name.strip())
    for name in names:
        if name != ANY and not _NAME.fullmatch(name):
            raise SettingError(
                HOSTS, repr(name), "names such as songline.example or *.songline.example, without a port"
            )
    return names


def read_origins(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The origins whose pages may read and write, of SONGLINE_ORIGINS, with commas between; raises SettingError."""
    origins = tuple(origin.strip() for origin in environ.get(ORIGINS, "").split(",") if origin.strip())
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.:\[\]_-]+", origin, re.ASCII):
            raise SettingError(ORIGINS, repr(origin), "origins such as https://player.example, without a path")
    return origins


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
