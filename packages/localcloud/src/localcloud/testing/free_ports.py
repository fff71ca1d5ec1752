"""TCP ports for servers that stop and start again on the same port."""

import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"
LOWEST, LAST = 15_000, 65_535
"""Below are ports that servers have by default."""
IANA_FIRST = 49_152
"""Where the ports begin that systems give to clients by RFC 6335. Linux gives others, and says which."""
FEWEST = 1_000

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def server_ports(range_file: Path = _RANGE) -> range:
    """The ports that this system gives to no client: below those that it gives, or above where there are too few."""
    first, last = IANA_FIRST, LAST
    with suppress(OSError, ValueError):
        first, last = map(int, range_file.read_text("ascii").split())
    found = max(range(LOWEST, first), range(max(LOWEST, last + 1), LAST + 1), key=len)
    # A machine that gives nearly all ports to clients has no better ones.
    return found if len(found) >= FEWEST else range(LOWEST, LAST + 1)


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Ports of this machine that nobody has, chosen at random: two processes rarely try the same.

    While the context lasts they are kept, also while their server is away: nobody gets one who takes any port. A server
    that is told its number can listen on it, by SO_REUSEADDR, which servers set. Only Linux lets a server listen beside
    us; elsewhere ports are free when the context begins.
    """
    ports = server_ports()
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            # Of those that were tried, only the ones that are bound stay open.
            with suppress(OSError), ExitStack() as tried:
                holder = tried.enter_context(socket.socket())
                holder.bind((HOST, random.choice(ports)))  # noqa: S311 - no secret
                # Both have to say so: from now on a server may listen beside this socket.
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
                found.append(int(holder.getsockname()[1]))
                held.enter_context(tried.pop_all())
        if sys.platform != "linux":
            held.close()
        yield found
