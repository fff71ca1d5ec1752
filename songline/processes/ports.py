"""Chooses and reserves TCP ports of this machine."""

import random
import socket
import sys
from collections.abc import Iterator, Mapping
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
    """A port that an option names is not free. The operator chooses another one."""

    def __init__(self, port: int, option: str, other: str | None = None) -> None:
        taken = f"is wanted by {other} too:" if other else "is taken by another process: end that one, or"
        super().__init__(f"port {port} {taken} choose another port with {option} (0 takes a free one)")


@contextmanager
def reserved(wanted: Mapping[str, int], *, are_kept: bool = True) -> Iterator[dict[str, int]]:
    """The port for each option: the wanted one, or for 0 a free one of `server_ports`. Raises PortTakenError.

    While the context lasts they are kept, also between two runs of a server: nobody gets one who takes any port. A
    server that is told its number can listen on it, by SO_REUSEADDR, which servers set. `are_kept` is false for a
    server without it. Only Linux lets a server listen beside us; elsewhere ports are free when the context begins.
    """
    with ExitStack() as held:
        ports: dict[str, int] = {}
        for option, port in wanted.items():
            other = next((name for name, taken in ports.items() if taken == port), None)
            if other is not None:
                raise PortTakenError(port, option, other)
            ports[option] = _reserve(held, port, option)
        if not are_kept or sys.platform != "linux":
            held.close()
        yield ports


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
    if not port:
        return _reserve_any(held)
    try:
        return _bind(held, port, is_shared=True)
    except OSError as error:
        raise PortTakenError(port, option) from error


def _reserve_any(held: ExitStack) -> int:
    """Reserve a free port that is chosen at random, so that two processes rarely try the same."""
    for port in random.sample(server_ports(), TRIES):
        with suppress(OSError):
            return _bind(held, port, is_shared=False)
    # Where so many are taken, the system knows which one is free.
    return _bind(held, 0, is_shared=False)


def _bind(held: ExitStack, port: int, *, is_shared: bool) -> int:
    """Bind a socket to the port: beside others that are bound to it, but for one that listens, or only where there is
    no other. Raises OSError."""
    # Of those that were tried, only the one that is bound stays open.
    with ExitStack() as tried:
        holder = tried.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, is_shared)
        holder.bind((HOST, port))
        # Both have to say so: from now on a server may listen beside this socket.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        held.enter_context(tried.pop_all())
    return int(holder.getsockname()[1])
