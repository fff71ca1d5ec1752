"""The master key signature on each request.

Protocol: "Access control on Azure Cosmos DB resources" of the REST reference. The signature is the HMAC-SHA256
of verb, resource type, resource link and date, one a line, everything but a name-based link in lower case.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import unquote_plus

from localcloud.cosmos.errors import UnauthorizedError
from localcloud.cosmos.resource_path import ResourcePath

MAX_SKEW = timedelta(minutes=15)


class MasterKey:
    """Checks signatures made with one key. `key` is base64, as the portal shows it; ValueError when it is not."""

    def __init__(self, key: str) -> None:
        try:
            secret = base64.b64decode(key, validate=True)
        except binascii.Error as error:
            raise ValueError("The Cosmos DB key is not base64: expected the text that the portal shows.") from error
        # HMAC (RFC 2104) with both pads hashed once. hmac.digest would give up the interpreter's lock for each of these
        # short texts, and wait for it among the threads that read and write.
        block = secret.ljust(64, b"\0") if len(secret) <= 64 else hashlib.sha256(secret).digest().ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def check(self, method: str, address: ResourcePath, headers: Mapping[str, str], now: datetime) -> None:
        """Raise UnauthorizedError unless the request was signed with this key within 15 minutes of `now`."""
        authorization = headers.get("authorization")
        if not authorization:
            raise UnauthorizedError(
                "Required Header authorization is missing. Ensure a valid Authorization token is passed."
            )
        fields = dict(part.partition("=")[::2] for part in unquote_keeping_plus(authorization).split("&"))
        if fields.get("type") != "master":
            raise UnauthorizedError(
                f"The authorization token is of type {fields.get('type')!r}; only 'master' tokens are accepted here."
            )
        date = headers.get("x-ms-date") or headers.get("date") or ""
        signature = fields.get("sig", "").encode()
        if not any(
            hmac.compare_digest(signature, self._sign(method, address.signed_type, link, headers))
            for link in address.signed_links
        ):
            raise UnauthorizedError(
                "The input authorization token can't serve the request. The wrong key is being used or the expected "
                "payload is not built as per the protocol. For more info: https://aka.ms/cosmosdb-tsg-unauthorized. "
                f"Server used the following payload to sign: '{method.lower()}\n{address.signed_type}\n"
                f"{address.signed_links[0]}\n{date.lower()}\n\n'"
            )
        signed_at = parse_date(date)
        if signed_at is None or abs(now - signed_at) > MAX_SKEW:
            raise UnauthorizedError(
                "The authorization token is not valid at the current time. Please provide a valid x-ms-date: "
                f"the request was signed at {date!r} and it is {now:%a, %d %b %Y %H:%M:%S} GMT; "
                "15 minutes are allowed."
            )

    def _sign(self, method: str, kind: str, link: str, headers: Mapping[str, str]) -> bytes:
        text = "\n".join(
            (
                method.lower(),
                kind,
                link,
                headers.get("x-ms-date", "").lower(),
                "" if "x-ms-date" in headers else headers.get("date", "").lower(),
                "",
            )
        )
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return base64.b64encode(outer.digest())


def unquote_keeping_plus(text: str) -> str:
    """Undo percent-encoding but keep a bare `+`, which base64 uses."""
    return unquote_plus(text.replace("+", "%2B"))


@lru_cache(maxsize=64)
def parse_date(text: str) -> datetime | None:
    """Parse an RFC 1123 date; None for anything else. Cached, because clients sign many requests with one date."""
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
