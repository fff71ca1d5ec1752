"""The caller of a request: the subject of its token, else the address of its connection, or the one that a named proxy
says it passes on for.

Source: RFC 7239 (Forwarded); X-Forwarded-For is what most proxies write instead. Each proxy adds whom it was called by
at the end, so the last address that is none of the named proxies' is the caller; what stands before it anybody can
write. An address that is not a named proxy's is not believed. A proxy that writes one of the two headers passes the
other on as its caller wrote it: where they tell different callers, neither is believed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

from msgspec import Struct

from songline.cloud.settings import SettingError
from songline.schemas.permission import CALLER

PROXIES = "SONGLINE_PROXIES"
Network: TypeAlias = IPv4Network | IPv6Network

_FOR = re.compile(r'(?:^|;)\s*for="?([^";\s]*)', re.IGNORECASE)
# One house has a network of its own in IPv6, and in it any number of addresses.
_HOUSE_BITS = 64


class Callers(Struct, frozen=True):
    """Tells callers apart, behind the proxies whose networks are named."""

    proxies: tuple[Network, ...] = ()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Callers":
        """The addresses and networks of SONGLINE_PROXIES, with commas between; raises SettingError."""
        return cls(tuple(_network(text.strip()) for text in environ.get(PROXIES, "").split(",") if text.strip()))

    def of(self, scope: Mapping[str, Any]) -> str | None:
        """The caller of a request with this ASGI scope: the subject of its token, which the state has as `caller`, else
        its address; None where nothing is known."""
        state = scope.get("state")
        caller = None if state is None else state.get(CALLER)
        # No address has a space in it, so nobody can have an address for a name.
        return self.address_of(scope) if caller is None else f"subject {caller.subject}"

    def address_of(self, scope: Mapping[str, Any]) -> str | None:
        """The address of a request with this ASGI scope, or its IPv6 network; None where nothing is known."""
        client = scope.get("client")
        if not client:
            return None
        address: str = client[0]
        told = {self._caller(address, chain) for chain in _chains(scope.get("headers") or ())} if self.proxies else ()
        return _house(told.pop() if len(told) == 1 else address)

    def _caller(self, address: str, chain: Sequence[str]) -> str:
        """Who called the proxy at `address`, by the addresses that are passed on, the first caller first."""
        for before in reversed(chain):
            if not self._is_proxy(address):
                break
            address = before
        return address

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.proxies)


def _chains(headers: Any) -> Iterator[list[str]]:
    """The addresses of Forwarded, and those of X-Forwarded-For, where they are there."""
    # A comma ends an address also where a quotation mark is open: what stands before it anybody can have written.
    if forwarded := _elements(headers, b"forwarded"):
        yield [_bare(found[1]) for one in forwarded if (found := _FOR.search(one))]
    if passed_on := _elements(headers, b"x-forwarded-for"):
        yield [_bare(one) for one in passed_on]


def _elements(headers: Any, wanted: bytes) -> list[str]:
    said = ",".join(value.decode("latin-1") for name, value in headers if name == wanted)
    return [one.strip() for one in said.split(",") if one.strip()]


def _bare(node: str) -> str:
    """The address without port and brackets: `[2001:db8::1]:47011`, `192.0.2.60:80`."""
    node = node.strip()
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


@lru_cache(1024)
def _house(address: str) -> str:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        # A name that a proxy gives in place of an address, such as `_hidden`.
        return address[:100]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found), _HOUSE_BITS), strict=False))
    return str(found)


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise SettingError(PROXIES, repr(text), "addresses or networks such as 10.0.0.7,10.1.0.0/16") from None
