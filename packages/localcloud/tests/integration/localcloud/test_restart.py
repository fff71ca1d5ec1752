"""What a supervisor relies on: a killed localcloud starts again at once, on its ports, with nothing left over."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.testing import LocalCloudProcess, StartError
from localcloud.testing.free_ports import free_ports, server_ports
from localcloud.testing.waiting import wait_for


def azurites(cloud: LocalCloudProcess) -> list[int]:
    """The processes of this machine whose command line names the cloud's blobs."""
    wanted = str((cloud.data / "blobs").resolve()).encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has gone meanwhile
            if wanted in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def test_a_killed_localcloud_starts_again_on_its_ports(start_localcloud: Callable[..., LocalCloudProcess]) -> None:
    cloud = start_localcloud("--blobs", "--eventgrid")
    # A client of any process may get another port as its own while the server is away.
    assert {"kafka", "blob", "eventgrid"} <= cloud.ports.keys()
    assert all(port in server_ports() for port in cloud.ports.values())
    ports, before = dict(cloud.ports), azurites(cloud)
    connections = [socket.create_connection(("127.0.0.1", port)) for port in ports.values()]
    try:
        cloud.kill()
        cloud.start()
        assert cloud.ports == ports
        assert len(before) == len(azurites(cloud)) == 1
        assert azurites(cloud) != before
        connections += [socket.create_connection(("127.0.0.1", port)) for port in ports.values()]
        cloud.kill()
        wait_for(lambda: not azurites(cloud), "Azurite to follow its localcloud")
    finally:
        for connection in connections:
            connection.close()


def test_where_another_process_was_faster_other_ports_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of localcloud itself, and of Azurite in it."""
    wanted: list[str] = ["kafka", "blob"]

    @contextlib.contextmanager
    def choose(count: int) -> Iterator[list[int]]:
        with free_ports(count) as ports:
            if wanted:
                ports[[*cloud.ports].index(wanted.pop(0))] = taken
            yield ports

    cloud = LocalCloudProcess(tmp_path / "data", ["--blobs"])
    monkeypatch.setattr("localcloud.testing.process.free_ports", choose)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        try:
            cloud.start()
            assert wanted == []
            assert taken not in cloud.ports.values()
            # Where all ports are known, none is chosen: clients have them.
            cloud.kill()
            cloud.ports["kafka"] = taken
            with pytest.raises(StartError, match=f"port {taken} for kafka"):
                cloud.start()
        finally:
            cloud.stop()
