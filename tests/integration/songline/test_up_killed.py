"""`songline up` starts though what it needs is killed while it starts."""

import signal
from pathlib import Path

import pytest

from songline.audit.audited_system import AuditedSystem
from songline.commands.up import PORTS
from tests.support.waiting import wait_for

START_S = 240.0


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("moment", ["localcloud healthy", "trending   healthy"])
def test_localcloud_is_killed_while_the_others_start(tmp_path: Path, moment: str) -> None:
    system = AuditedSystem(tmp_path, PORTS)
    try:
        system.launch()
        wait_for(lambda: moment in system.said() or not system.is_running(), moment, START_S)
        assert system.signal("localcloud", signal.SIGKILL), system.said()
        wait_for(lambda: system.is_up() or not system.is_running(), "Songline is up", START_S)
        assert system.is_up(), system.said()
        assert "localcloud ended by SIGKILL" in system.said()
    finally:
        system.close()
