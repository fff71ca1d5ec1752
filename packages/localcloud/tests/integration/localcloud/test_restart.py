"""What a supervisor relies on: a killed localcloud starts again at once, on its ports, with nothing left over."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from localcloud.testing import LocalCloudProcess
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
    cloud = start_localcloud("--blobs")
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
