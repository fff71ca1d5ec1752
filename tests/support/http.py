"""HTTP without TLS: by clients, and by hand for what no client would send."""

import socket
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from urllib.parse import urlsplit

PLAIN = SSLContext(PROTOCOL_TLS_CLIENT)
"""`verify` of httpx's clients, each of which reads all trusted authorities without it."""


def connect(address: str, timeout: float = 60) -> socket.socket:
    """A connection to the server at `address`."""
    url = urlsplit(address)
    return socket.create_connection((url.hostname or "", url.port or 0), timeout=timeout)


def exchange(address: str, request: bytes, timeout: float = 60) -> bytes:
    """All that the server answers until it closes the connection; the request says that it should."""
    with connect(address, timeout) as raw:
        raw.sendall(request)
        answer = b""
        while chunk := raw.recv(65536):
            answer += chunk
    return answer


def status(answer: bytes) -> int:
    """The status of the (first) answer."""
    return int(answer.split(b" ", 2)[1])
