"""Whether an address is one of the Internet, and none that a network keeps to itself."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

GLOBAL_V6: Final = ip_network("2000::/3")
NAT64: Final = ip_network("64:ff9b::/96")
# What older versions of Python take for public (protocol assignments, relays of 6to4, documentation), and Azure's own
# address in each virtual network.
NOT_PUBLIC: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "168.63.129.16/32")))


def is_public(text: str) -> bool:
    """An address of IPv4 in the clothes of IPv6 is judged as what it leads to."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address in NAT64:
            address = ip_address(int(address) & 0xFFFF_FFFF)
        else:
            address = address.ipv4_mapped or address.sixtofour or address
    if isinstance(address, IPv6Address) and address not in GLOBAL_V6:
        return False
    return address.is_global and not address.is_multicast and not any(address in one for one in NOT_PUBLIC)
