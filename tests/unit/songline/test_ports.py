"""Ports are settled before anything starts."""

import socket

import pytest

from songline.ports import HOST, Taken, settle


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Taken, match=rf"port {port} is taken .* choose another port with --kafka-port"):
            settle({"--port": 0, "--kafka-port": port})


def test_zero_takes_free_ports_and_no_two_the_same() -> None:
    options = [f"--{number}" for number in range(20)]
    settled = settle(dict.fromkeys(options, 0))
    assert len(set(settled.values())) == 20
    assert settle(settled) == settled
