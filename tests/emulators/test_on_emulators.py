"""The product on Microsoft's emulators: an event comes to charts and libraries, a song to the catalog.

SONGLINE_TEST_EMULATORS: `on` for Microsoft's, `localcloud` to try these tests themselves without Docker.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.audio import song
from tests.support.waiting import wait_for

START_S = 900.0
"""The first start downloads several gigabytes."""
APPLIED_S = 180.0
PORTS = [f"--{name}-port=0" for name in ("trending", "catalog", "ingestion", "library", "identity")]

pytestmark = pytest.mark.timeout(1_800)


class RunningSystem:
    """A system that `songline up` runs, and what its commands print."""

    def __init__(self, data: Path, api: str) -> None:
        self.api = api
        self._environ = {**os.environ, "SONGLINE_DATA": str(data)}

    def songline(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "songline", *arguments]
        return subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=300, check=False)

    def token(self, user: str) -> dict[str, str]:
        done = self.songline("token", "--user", user, "--header")
        assert done.returncode == 0, done.stderr
        name, _, value = done.stdout.strip().partition(": ")
        return {name: value}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    data = tmp_path_factory.mktemp("emulators") / "data"
    local = os.environ["SONGLINE_TEST_EMULATORS"] == "localcloud"
    services = ("eventhubs", "kafka", "cosmos", "servicebus", "servicebus-admin", "blob", "control")
    options = [*PORTS, *(f"--{name}-port=0" for name in services)] if local else ["--emulators", *PORTS]
    command = [sys.executable, "-m", "songline", "up", "--no-simulator", "--port=0", "--data", str(data), *options]
    output = data.parent / "output"
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)

    def address() -> str:
        assert process.poll() is None, output.read_text()
        lines = [line for line in output.read_text().splitlines() if "the API" in line]
        return lines[0].split()[-1].removesuffix("/docs") if lines else ""

    try:
        api = wait_for(address, "`songline up`", START_S)
        yield RunningSystem(data, api)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(120)
    assert code == 0, output.read_text()


def test_the_doctor_finds_no_fault(system: RunningSystem) -> None:
    def faults() -> list[str] | None:
        found = json.loads(system.songline("doctor", "--json").stdout)
        failed = [f"{one['check']}: {one['seen']}" for one in found if one["status"] == "fail"]
        return None if failed else ["none"]

    assert wait_for(faults, "a doctor without faults", APPLIED_S)


def test_a_play_comes_to_the_library_and_into_the_charts(system: RunningSystem) -> None:
    sent = system.songline(
        *("publish", "--played", "user-7", "song-42", "--played-ms", "184000", "--duration-ms", "201000"),
        *("--region", "DE"),
    )
    assert sent.returncode == 0, sent.stderr
    headers = system.token("user-7")

    def played() -> bool:
        answer = httpx.get(f"{system.api}/v1/users/user-7/library", headers=headers, timeout=60)
        return answer.status_code == 200 and "song-42" in answer.text

    def charted() -> bool:
        answer = httpx.get(f"{system.api}/v1/charts/top/1h", timeout=60)
        return answer.status_code == 200 and "song-42" in answer.text

    assert wait_for(played, "the library of user-7", APPLIED_S)
    assert wait_for(charted, "the chart of the last hour", APPLIED_S)


def test_an_upload_becomes_a_song(system: RunningSystem) -> None:
    file = ("song.mp3", song("mp3"), "audio/mpeg")
    headers = system.token("user-7")
    taken = httpx.post(f"{system.api}/v1/songs", headers=headers, files={"file": file}, timeout=120)
    assert taken.status_code == 202, taken.text
    where = taken.headers["Location"]

    def ready() -> bool:
        state = httpx.get(f"{system.api}{where}", headers=headers, timeout=60).json()
        assert state["state"] != "rejected", state
        return bool(state["state"] == "ready")

    assert wait_for(ready, "the song", APPLIED_S)
