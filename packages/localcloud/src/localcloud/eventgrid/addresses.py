"""Which addresses a webhook may have: public ones, so that no subscription reaches what a network keeps to itself."""

import asyncio
import socket
from ipaddress import IPv6Address, ip_address


class ForbiddenAddressError(OSError):
    """The name of a webhook stands for an address that is not public."""


async def public_addresses(host: str, port: int, *, loopback: bool) -> list[str]:
    """The addresses of `host`, all of them public; with `loopback`, this machine's own will do too.

    What is connected to has to be one of them, not the name: it may stand for another address a moment later. Raises
    ForbiddenAddressError, and OSError where there is no such name.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not _is_allowed(address, loopback=loopback):
            raise ForbiddenAddressError(f"{host} is {address}, which is no public address")
    return addresses


def _is_allowed(text: str, *, loopback: bool) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        # An address of IPv4 in other clothes.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            address = inner
    if address.is_loopback:
        return loopback
    return address.is_global and not address.is_multicast
