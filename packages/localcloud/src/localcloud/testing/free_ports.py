"""TCP ports for servers that stop and start again on the same port."""

import random
import socket
from contextlib import ExitStack, suppress
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


def free_ports(count: int) -> list[int]:
    """Ports of this machine on which nobody listens, chosen at random: two processes rarely choose the same.

    A port that a server got as 0 may be given to any client as its own while the server is away.
    """
    ports = server_ports()
    found: list[int] = []
    # All are held until all are known.
    with ExitStack() as held:
        while len(found) < count:
            listener = held.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                listener.bind((HOST, random.choice(ports)))  # noqa: S311 - no secret
                listener.listen()
                found.append(int(listener.getsockname()[1]))
    return found
