"""Ports are settled before anything starts."""

import socket
from contextlib import ExitStack

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


def test_a_settled_port_waits_for_its_server_and_goes_to_no_one_who_takes_any() -> None:
    settled = set(settle(dict.fromkeys([f"--{number}" for number in range(200)], 0)).values())
    with ExitStack() as others:
        # Of ports that are merely free, these would take some four.
        given = {others.enter_context(socket.create_server((HOST, 0))).getsockname()[1] for _ in range(300)}
        assert not given & settled
        for port in settled:
            others.enter_context(socket.create_server((HOST, port)))
