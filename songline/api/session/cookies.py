"""Cookies as values: what a request brings, and the headers that set and clear them (RFC 6265)."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

PART_CHARACTERS = 3_600
"""A browser takes 4,096 bytes for a cookie with its name and attributes."""
MAX_PARTS = 4
_VALUE = re.compile(r"[A-Za-z0-9_-]*")


class CookieTooLargeError(ValueError):
    """A value does not fit into the cookies that a browser takes."""


class CookieJar(Struct, frozen=True):
    """The cookie `name` of one API. A long value is in several: `name`, `name-1`, …; `secure` is for HTTPS."""

    name: str
    secure: bool

    @property
    def names(self) -> tuple[str, ...]:
        # With this prefix no other host of the same domain can set it (draft-ietf-httpbis-rfc6265bis).
        first = f"__Host-{self.name}" if self.secure else self.name
        return (first, *(f"{first}-{number}" for number in range(1, MAX_PARTS)))

    def read(self, cookies: Mapping[str, str]) -> str | None:
        """The value in the cookies of a request; None where there is none."""
        parts = []
        for name in self.names:
            if name not in cookies:
                break
            parts.append(cookies[name])
        return "".join(parts) if parts else None

    def set(self, value: str, max_age_s: int) -> list[str]:
        """Headers Set-Cookie for `value`, which clear the parts that it does not need; raises CookieTooLargeError."""
        parts = [value[start : start + PART_CHARACTERS] for start in range(0, len(value), PART_CHARACTERS)]
        if len(parts) > MAX_PARTS:
            raise CookieTooLargeError(f"{len(value)} characters, expected {MAX_PARTS * PART_CHARACTERS} at most")
        kept = [self._header(name, part, max_age_s) for name, part in zip(self.names, parts, strict=False)]
        return [*kept, *(self._header(name, "", 0) for name in self.names[len(parts) :])]

    def clear(self) -> list[str]:
        """The headers that clear it."""
        return [self._header(name, "", 0) for name in self.names]

    def _header(self, name: str, value: str, max_age_s: int) -> str:
        secure = "; Secure" if self.secure else ""
        # Lax: the issuer sends the browser back from another site, and the page's first request is part of that.
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{secure}"


def read_cookies(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The cookies of a request that could be of a jar, by name. The first of a name counts, and others are no error."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name != b"cookie":
            continue
        for pair in value.decode("latin-1").split(";"):
            key, equals, content = pair.strip().partition("=")
            if equals and _VALUE.fullmatch(content):
                found.setdefault(key, content)
    return found
