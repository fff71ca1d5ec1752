"""Which addresses may be subscribed: public ones over HTTPS, and on this machine its own."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from songline.broadcasting.public_address import is_public
from songline.broadcasting.subscriptions import SubscriptionRefusedError

Resolve = Callable[[str], Awaitable[Sequence[str]]]


async def resolved(host: str) -> list[str]:
    """The addresses that a name stands for. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def check_webhook(url: str, *, is_local: bool, resolve: Resolve = resolved) -> None:
    """Raise SubscriptionRefusedError unless `url` may be a webhook; `is_local`: addresses of this machine will do."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SubscriptionRefusedError(f"{url}: {error}; expected https://HOST/PATH") from None
    if not host or parts.scheme not in ("https", "http") or parts.username is not None or not url.isascii():
        raise SubscriptionRefusedError(f"{url}: expected https://HOST/PATH, without a user's name")
    try:
        addresses = await resolve(host)
    except (OSError, UnicodeError) as error:
        raise SubscriptionRefusedError(f"{url}: {host} can't be found: {error}") from None
    own = all(ip_address(one.partition("%")[0]).is_loopback for one in addresses)
    if not (is_local and own):
        internal = [one for one in addresses if not is_public(one)]
        if internal:
            raise SubscriptionRefusedError(f"{url}: {host} is {internal[0]}, expected a public address")
        if parts.scheme != "https":
            raise SubscriptionRefusedError(f"{url}: saw HTTP, expected HTTPS")
