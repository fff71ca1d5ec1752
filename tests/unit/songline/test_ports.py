"""Ports are settled before anything starts."""

import random
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from songline.processes.ports import FEWEST, HOST, IANA_FIRST, LOWEST, PortTakenError, reserved, server_ports


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(PortTakenError, match=rf"port {port} is taken .* choose another port with --kafka-port"),
            reserved({"--port": 0, "--kafka-port": port}),
        ):
            pass


def test_a_port_that_two_options_want_is_named_with_both() -> None:
    with reserved({"--port": 0}) as free:
        port = free["--port"]
    said = rf"port {port} is wanted by --port too: choose another port with --blob-port \(0 takes a free one\)"
    with pytest.raises(PortTakenError, match=said), reserved({"--port": port, "--blob-port": port}):
        pass


def test_zero_takes_free_ports_and_no_two_the_same() -> None:
    with reserved({f"--{number}": 0 for number in range(20)}) as ports:
        assert len(set(ports.values())) == 20
        # As a process that a test starts does, whose ports the test keeps.
        with reserved(ports) as again:
            assert again == ports


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
        with reserved({"--port": 0}) as ports:
            assert ports["--port"] != taken


@pytest.mark.parametrize("are_kept", [True, False])
def test_a_port_waits_for_its_server_and_goes_to_no_one_who_takes_any(are_kept: bool) -> None:
    wanted = {f"--{number}": 0 for number in range(200)}
    with reserved(wanted, are_kept=are_kept) as ports, ExitStack() as others:
        assert set(ports.values()) <= set(server_ports())
        # Of ports that are merely free, these would take some four.
        given = {others.enter_context(socket.create_server((HOST, 0))).getsockname()[1] for _ in range(300)}
        assert not given & set(ports.values())
        for port in ports.values():
            others.enter_context(socket.create_server((HOST, port)))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port that is kept can't be listened on")
def test_a_kept_port_goes_to_no_other_process_that_takes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while its server has not started, or is away."""
    with reserved({"--port": 0}) as kept:
        port = kept["--port"]
        socket.create_server((HOST, port)).close()
        monkeypatch.setattr(random, "sample", lambda ports, count: [port])
        with reserved({"--port": 0}) as other:
            assert other["--port"] != port
        socket.create_server((HOST, port)).close()
    with reserved({"--port": 0}) as other:
        assert other["--port"] == port


def test_a_port_that_is_not_kept_is_free_for_any_server() -> None:
    with reserved({"--port": 0}, are_kept=False) as ports, socket.socket() as server:
        server.bind((HOST, ports["--port"]))
        server.listen()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port that is kept can't be listened on")
def test_a_kept_port_outlives_its_server_and_goes_to_no_client() -> None:
    # Of the ports that Linux gives to clients, it gives the even ones first.
    port = next(port for port in range(40_000, 60_000, 2) if is_free(port))
    with reserved({"--port": port}):
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
