"""Ports of this machine."""

import socket
from collections.abc import Mapping

HOST = "127.0.0.1"


class Taken(Exception):
    """Another process listens on a port that we were told to use. The operator chooses another."""

    def __init__(self, port: int, option: str) -> None:
        super().__init__(
            f"port {port} is taken by another process: end that one, "
            f"or choose another port with {option} (0 takes a free one)"
        )


def settle(wanted: Mapping[str, int]) -> dict[str, int]:
    """The port for each option: the wanted one, a free one where 0 is wanted. Raises Taken."""
    with_sockets = {option: _reserve(port, option) for option, port in wanted.items()}
    # All are held until all are known, so that no two options get the same free port.
    settled = {option: int(held.getsockname()[1]) for option, held in with_sockets.items()}
    for held in with_sockets.values():
        held.close()
    return settled


def _reserve(port: int, option: str) -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
        held.listen()
    except OSError as error:
        held.close()
        raise Taken(port, option) from error
    return held
