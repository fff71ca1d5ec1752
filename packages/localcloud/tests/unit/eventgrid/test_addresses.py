"""Which addresses a webhook may have."""

import pytest

from localcloud.eventgrid.addresses import ForbiddenAddressError, public_addresses

INTERNAL = [
    "10.0.0.4",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "::",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "::ffff:10.0.0.4",
    "::ffff:169.254.169.254",
    "2002:a00:4::1",
]


@pytest.mark.parametrize("address", INTERNAL)
@pytest.mark.parametrize("loopback", [True, False])
async def test_addresses_of_a_network_are_refused(address: str, loopback: bool) -> None:
    with pytest.raises(ForbiddenAddressError, match="no public address"):
        await public_addresses(address, 443, loopback=loopback)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
async def test_public_addresses_are_taken(address: str) -> None:
    assert len(await public_addresses(address, 443, loopback=False)) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_is_taken_only_where_it_may_be(address: str) -> None:
    assert await public_addresses(address, 80, loopback=True)
    with pytest.raises(ForbiddenAddressError):
        await public_addresses(address, 80, loopback=False)
