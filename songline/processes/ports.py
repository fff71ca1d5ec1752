"""Chooses and reserves TCP ports of this machine."""

import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

HOST = "127.0.0.1"


class PortTakenError(Exception):
    """Another process listens on a port that an option names. The operator chooses another port."""

    def __init__(self, port: int, option: str) -> None:
        super().__init__(
            f"port {port} is taken by another process: end that one, "
            f"or choose another port with {option} (0 takes a free one)"
        )


def settle(wanted: Mapping[str, int]) -> dict[str, int]:
    """The port for each option: the wanted one, or a free one for 0. Raises PortTakenError."""
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


def _reserve(held: ExitStack, port: int, option: str) -> int:
    listener = held.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        raise PortTakenError(port, option) from error
    if not port:
        _linger(listener)
    return int(listener.getsockname()[1])


def _linger(listener: socket.socket) -> None:
    """Leave a connection in TIME-WAIT: for a minute the system assigns the port only to a server that names it, never
    as an ephemeral port. Source: Yelp's ephemeral-port-reserve."""
    with socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        # The end that closes first stays in TIME-WAIT.
        accepted.close()
        client.recv(1)
