"""Which addresses a webhook may have: public ones, so that no subscription reaches what a network keeps to itself."""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Resolve = Callable[[str, int], Sequence[str]]

_GLOBAL_V6: Final = ip_network("2000::/3")
"""All addresses of IPv6 that are given to networks of the Internet are in it."""
_NAT64: Final = ip_network("64:ff9b::/96")
_NOT_GIVEN: Final = tuple(
    map(
        ip_network,
        (
            # What older versions of Python take for public: protocol assignments, relays of 6to4, documentation.
            "192.0.0.0/24",
            "192.88.99.0/24",
            "3fff::/20",
            # Azure's own address in each virtual network: DNS, health, the agents' endpoint.
            "168.63.129.16/32",
        ),
    )
)


class ForbiddenAddressError(OSError):
    """The name of a webhook stands for an address that is not public."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses that a name stands for. Raises OSError; it may take as long as a name server likes."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class AddressLookup:
    """Finds the addresses of webhooks. `loopback`: this machine's own will do too.

    A name is looked up in a thread of its own, once for all who ask at a time: a name server that never answers keeps
    waiting who asked it, and nobody else, neither now nor when the process ends.
    """

    def __init__(self, *, loopback: bool, resolve: Resolve = resolve) -> None:
        self._loopback = loopback
        self._resolve = resolve
        self._lookups: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}

    async def public_addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses of `host`, all of them public.

        What is connected to has to be one of them, not the name: it may stand for another address a moment later.
        Raises ForbiddenAddressError, and OSError where there is no such name.
        """
        lookup = self._lookups.get((host, port)) or self._begin(host, port)
        addresses = await asyncio.shield(lookup)
        for address in addresses:
            if not _is_allowed(address, loopback=self._loopback):
                raise ForbiddenAddressError(f"{host} is {address}, which is no public address")
        return addresses

    def _begin(self, host: str, port: int) -> asyncio.Future[Sequence[str]]:
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[Sequence[str]] = loop.create_future()

        def end(found: Sequence[str] | Exception) -> None:
            del self._lookups[host, port]
            if isinstance(found, Exception):
                lookup.set_exception(found)
                # Nobody may be left who waits for it.
                lookup.exception()
            else:
                lookup.set_result(found)

        def look_up() -> None:
            found: Sequence[str] | Exception
            try:
                found = self._resolve(host, port)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is of those who wait
                found = error
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end, found)

        self._lookups[host, port] = lookup
        threading.Thread(target=look_up, name=f"lookup of {host}", daemon=True).start()
        return lookup


def _is_allowed(text: str, *, loopback: bool) -> bool:
    address = _ipv4_behind(ip_address(text.partition("%")[0]))
    if address.is_loopback:
        return loopback
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return False
    return address.is_global and not address.is_multicast and not any(address in one for one in _NOT_GIVEN)


def _ipv4_behind(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address of IPv4 that one of IPv6 leads to, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
