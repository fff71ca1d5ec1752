"""Ports that stay free while their server is away."""

import random
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from localcloud.testing.free_ports import FEWEST, HOST, IANA_FIRST, LOWEST, free_ports, server_ports


@pytest.mark.parametrize(
    ("given", "ports"),
    [
        ("32768\t60999\n", range(LOWEST, 32_768)),
        ("15100 40000", range(40_001, 65_536)),
        # Nearly all are given to clients.
        ("1024 65535", range(LOWEST, 65_536)),
        (f"{LOWEST + FEWEST} 65535", range(LOWEST, LOWEST + FEWEST)),
        # Another system, or none that says it.
        (None, range(LOWEST, IANA_FIRST)),
        ("\xff", range(LOWEST, IANA_FIRST)),
    ],
)
def test_ports_are_beside_those_of_clients(tmp_path: Path, given: str | None, ports: range) -> None:
    if given is not None:
        (tmp_path / "range").write_text(given, "latin-1")
    assert server_ports(tmp_path / "range") == ports


def test_ports_are_free_and_no_client_gets_one() -> None:
    with free_ports(200) as found, ExitStack() as stack:
        assert len(set(found)) == 200
        servers = [stack.enter_context(socket.create_server((HOST, port))) for port in found]
        for server in servers:
            client = stack.enter_context(socket.create_connection(server.getsockname()))
            assert client.getsockname()[1] not in server_ports()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port that is kept can't be listened on")
def test_a_port_is_kept_from_all_who_take_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while its server has not started, or is away."""
    with free_ports(1) as kept:
        socket.create_server((HOST, kept[0])).close()
        others = iter(range(kept[0], kept[0] + FEWEST))
        monkeypatch.setattr(random, "choice", lambda ports: next(others))
        with free_ports(2) as found:
            assert not set(found) & set(kept)
        socket.create_server((HOST, kept[0])).close()
    others = iter(kept)
    with free_ports(1) as again:
        assert again == kept
