"""Chooses and reserves TCP ports of this machine."""

import random
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"
LOWEST, LAST = 15_000, 65_535
"""Below are ports that servers have by default."""
IANA_FIRST = 49_152
"""Where the ports begin that systems give to clients by RFC 6335. Linux gives others, and says which."""
FEWEST = 1_000
TRIES = 100

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class PortTakenError(Exception):
    """Another process listens on a port that an option names. The operator chooses another port."""

    def __init__(self, port: int, option: str) -> None:
        super().__init__(
            f"port {port} is taken by another process: end that one, "
            f"or choose another port with {option} (0 takes a free one)"
        )


def settle(wanted: Mapping[str, int]) -> dict[str, int]:
    """The port for each option: the wanted one, or for 0 a free one of `server_ports`. Raises PortTakenError."""
    # All ports are held until all are known, so that no two options get the same free port.
    with ExitStack() as held:
        return {option: _reserve(held, port, option) for option, port in wanted.items()}


@contextmanager
def kept(ports: Iterable[int]) -> Iterator[None]:
    """Keep the system from assigning `ports` as ephemeral ports while the context lasts, also between two runs of a
    server. Otherwise a client that retries a closed port may get it as its own port, and connects to itself."""
    with ExitStack() as held:
        for port in ports:
            # Other systems let no server listen on a port to which another socket is bound.
            if sys.platform == "linux":
                holder = held.enter_context(socket.socket())
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.bind((HOST, port))
        yield


def server_ports(range_file: Path = _RANGE) -> range:
    """The ports that this system gives to no client: below those that it gives, or above where there are too few.

    A server that is away for a moment gets such a port again, whatever else runs on the machine.
    """
    first, last = IANA_FIRST, LAST
    with suppress(OSError, ValueError):
        first, last = map(int, range_file.read_text("ascii").split())
    found = max(range(LOWEST, first), range(max(LOWEST, last + 1), LAST + 1), key=len)
    # A machine that gives nearly all ports to clients has no better ones.
    return found if len(found) >= FEWEST else range(LOWEST, LAST + 1)


def _reserve(held: ExitStack, port: int, option: str) -> int:
    try:
        return _listen(held, port) if port else _listen_anywhere(held)
    except OSError as error:
        raise PortTakenError(port, option) from error


def _listen_anywhere(held: ExitStack) -> int:
    """Listen on a free port that is chosen at random, so that two processes rarely choose the same."""
    for port in random.sample(server_ports(), TRIES):
        with suppress(OSError):
            return _listen(held, port)
    # Where so many are taken, the system knows which one is free.
    return _listen(held, 0)


def _listen(held: ExitStack, port: int) -> int:
    listener = held.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen()
    return int(listener.getsockname()[1])
