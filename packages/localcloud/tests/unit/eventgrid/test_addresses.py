"""Which addresses a webhook may have, and that a name server keeps nobody waiting but those who asked it."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from localcloud.eventgrid.addresses import AddressLookup, ForbiddenAddressError

INTERNAL = [
    "10.0.0.4",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.88.99.1",
    "100.64.0.1",
    "198.18.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fec0::1",
    "fd00::1",
    "ff02::1",
    "100::1",
    "5f00::1",
    "3fff::1",
    "2001:db8::1",
    "::10.0.0.4",
    "::ffff:10.0.0.4",
    "::ffff:169.254.169.254",
    "::ffff:0:10.0.0.4",
    "64:ff9b::10.0.0.4",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::10.0.0.4",
    "2002:a00:4::1",
]


async def public_addresses(address: str, *, loopback: bool) -> Sequence[str]:
    return await AddressLookup(loopback=loopback).public_addresses(address, 443)


@pytest.mark.parametrize("address", INTERNAL)
@pytest.mark.parametrize("loopback", [True, False])
async def test_addresses_of_a_network_are_refused(address: str, loopback: bool) -> None:
    with pytest.raises(ForbiddenAddressError, match="no public address"):
        await public_addresses(address, loopback=loopback)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
async def test_public_addresses_are_taken(address: str) -> None:
    assert len(await public_addresses(address, loopback=False)) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"])
async def test_this_machine_is_taken_only_where_it_may_be(address: str) -> None:
    assert await public_addresses(address, loopback=True)
    with pytest.raises(ForbiddenAddressError):
        await public_addresses(address, loopback=False)


class NameServer:
    """Answers for `good.example` at once, for others when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let = threading.Event()

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host != "good.example":
            self.let.wait(60)
            raise OSError("no such name")
        return ["8.8.8.8"]


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.let.set()


async def test_a_name_server_that_never_answers_keeps_waiting_who_asked_it(names: NameServer) -> None:
    lookup = AddressLookup(loopback=False, resolve=names.resolve)
    waiting = [
        asyncio.create_task(lookup.public_addresses(f"slow-{number % 40}.example", 443)) for number in range(400)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        assert await lookup.public_addresses("good.example", 443) == ["8.8.8.8"]
        # The pool that everything else in the process uses has room, too.
        assert await asyncio.to_thread(lambda: 7) == 7
    assert not any(task.done() for task in waiting)
    assert len(names.asked) == 41, "a name is asked for once by all who wait for it"
    names.let.set()
    async with asyncio.timeout(60):
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(each) for each in found} == {"no such name"}


async def test_who_gives_up_keeps_nobody_from_asking_again(names: NameServer) -> None:
    lookup = AddressLookup(loopback=False, resolve=names.resolve)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await lookup.public_addresses("slow.example", 443)
    asking = asyncio.create_task(lookup.public_addresses("slow.example", 443))
    await asyncio.sleep(0)
    names.let.set()
    with pytest.raises(OSError, match="no such name"):
        async with asyncio.timeout(60):
            await asking
    with pytest.raises(OSError, match="no such name"):
        async with asyncio.timeout(60):
            await lookup.public_addresses("slow.example", 443)
    assert names.asked == ["slow.example", "slow.example"]
