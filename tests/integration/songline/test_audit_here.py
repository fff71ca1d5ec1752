"""`songline audit --here`, as a user runs it: on a system that others use, and nothing of it is left."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from msgspec import structs

from songline.audit.api_access import open_api
from songline.audit.audited_system import AuditedSystem
from songline.audit.exclusion import PREFIX
from songline.commands.up import PORTS
from songline.processes.environment import DATA
from songline.producers.http.event_endpoint import ONE
from songline.schemas.envelope import encode
from tests.support.audited import played

SENTENCES = {
    "answers-true",
    "catalog-equals",
    "charts-untouched",
    "comes-to-rest",
    "erased",
    "events-kept",
    "libraries-equal",
    "not-ready-is-true",
    "nothing-foreign",
    "order-kept",
    "ready-is-true",
    "uploads-kept",
    "uploads-told-once",
}


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditedSystem]:
    """A running system, whose Capture and erasures are quick."""
    monkeypatch.setenv("SONGLINE_CAPTURE_INTERVAL", "5")
    monkeypatch.setenv("SONGLINE_ERASURE_LOOK", "1")
    running = AuditedSystem(tmp_path, PORTS)
    try:
        running.start()
        yield running
    finally:
        running.close()


async def _publish(system: AuditedSystem, event: bytes) -> httpx.Response:
    async with open_api(system.environment) as api:
        return await api.post("/v1/events", content=event, headers={"Content-Type": ONE})


@pytest.mark.timeout(2_400)
def test_the_running_system_is_audited_and_nothing_is_left(system: AuditedSystem, tmp_path: Path) -> None:
    def songline(*arguments: str, timeout_s: float = 1_800.0) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "songline", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, DATA: str(system.data)},
            timeout=timeout_s,
        )

    refused = songline("audit", "--here", "--out", str(tmp_path / "refused"))
    assert refused.returncode == 2, refused.stderr
    assert "policy v1, which counts songline-audit-user-0" in refused.stderr
    assert not (tmp_path / "refused").exists()

    # An empty history is refused by `rebuild`; and this is what others do here.
    play = encode(structs.replace(played(1, "user-9", "song-9"), time=datetime.now(UTC)))
    published = asyncio.run(_publish(system, play))
    assert published.status_code == 200, published.text

    policy = tmp_path / "audited.toml"
    policy.write_text(songline("audit", "--here", "--policy").stdout)
    rebuilt = songline("rebuild", "charts", "--policy", str(policy), "--switch")
    assert rebuilt.returncode == 0, rebuilt.stderr

    out = tmp_path / "out"
    audited = songline("audit", "--here", "--minutes", "0.2", "--seed", "7", "--recovery", "400", "--out", str(out))
    figures = json.loads((out / "figures.json").read_bytes())
    assert {one["name"] for one in figures["proofs"]} == SENTENCES
    # A machine that is busy with other tests may make a process truly not ready, which is a difference then.
    wrong = {one["name"] for one in figures["proofs"] if one["wrong"] or one["missing"]} - {"not-ready-is-true"}
    assert wrong == set(), audited.stdout + audited.stderr
    assert "Audit of the running system, seed 7:" in audited.stdout
    assert figures["ended_early"] == ""
    checked = {one["name"]: one["checked"] for one in figures["proofs"]}
    assert checked["events-kept"]["accepted events"] > 0
    assert checked["libraries-equal"]["listens"] > 0
    assert checked["erased"]["listeners"] > 0

    chart = json.loads(songline("chart", "top", "1h", "--json").stdout)
    assert [one["songId"] for one in chart["entries"]] == ["song-9"]
    left = songline("library", f"{PREFIX}user-0", "--json")
    assert json.loads(left.stdout)["entries"] == [], left.stderr
    erasures = [json.loads(line) for line in songline("forget", "list", "--json").stdout.splitlines()]
    assert {one["state"] for one in erasures} == {"done"}
    assert len(erasures) == checked["erased"]["listeners"]
