"""Ports are settled before anything starts."""

import random
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from songline.processes.ports import FEWEST, HOST, IANA_FIRST, LOWEST, PortTakenError, kept, server_ports, settle


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"port {port} is taken .* choose another port with --kafka-port"):
            settle({"--port": 0, "--kafka-port": port})


def test_zero_takes_free_ports_and_no_two_the_same() -> None:
    options = [f"--{number}" for number in range(20)]
    settled = settle(dict.fromkeys(options, 0))
    assert len(set(settled.values())) == 20
    assert settle(settled) == settled


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
def test_ports_of_servers_are_beside_those_of_clients(tmp_path: Path, given: str | None, ports: range) -> None:
    if given is not None:
        (tmp_path / "range").write_text(given, "latin-1")
    assert server_ports(tmp_path / "range") == ports


def test_where_all_that_were_tried_are_taken_the_system_finds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(random, "sample", lambda ports, count: [taken] * count)
        assert settle({"--port": 0})["--port"] != taken


def test_a_settled_port_waits_for_its_server_and_goes_to_no_one_who_takes_any() -> None:
    settled = set(settle(dict.fromkeys([f"--{number}" for number in range(200)], 0)).values())
    assert settled <= set(server_ports())
    with ExitStack() as others:
        # Of ports that are merely free, these would take some four.
        given = {others.enter_context(socket.create_server((HOST, 0))).getsockname()[1] for _ in range(300)}
        assert not given & settled
        for port in settled:
            others.enter_context(socket.create_server((HOST, port)))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port that is kept can't be listened on")
def test_a_kept_port_outlives_its_server_and_goes_to_no_client() -> None:
    # Of the ports that Linux gives to clients, it gives the even ones first.
    port = next(port for port in range(40_000, 60_000, 2) if is_free(port))
    with kept([port]):
        for _ in range(3):
            with socket.create_server((HOST, port)) as server:
                client = socket.create_connection((HOST, port))
                accepted = server.accept()[0]
                client.close()
                accepted.close()
        # A client that tries some ten thousand times would get the very port that it asks for, and itself behind it.
        for _ in range(40_000):
            with socket.socket() as client, pytest.raises(ConnectionRefusedError):
                client.connect((HOST, port))


def is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True
