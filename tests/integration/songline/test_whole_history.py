"""A history of 100,000 listens comes into a whole system that listeners use: nothing of theirs waits for it."""

import io
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from songline.identity.scopes import Scope
from songline.identity.token_source import token_source
from songline.processes.environment import load
from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import ReadOptions
from songline.schemas.song_names import song_name
from tests.integration.songline.test_up import Up, terminal, up
from tests.support.histories import Heard, lastfm_table
from tests.support.waiting import wait_for

__all__ = ("up",)

LISTENS = 100_000
BEGAN_MS = 1_500_000_000_000
STEP_MS = 240_000
BOUND_S = 60.0
"""How old the charts may be meanwhile, on a machine that is busy with other tests."""


def songline(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in another terminal, which may take as long as an import does on a busy machine."""
    command = [sys.executable, "-m", "songline", *arguments]
    return subprocess.run(command, env=terminal(data), capture_output=True, text=True, timeout=900, check=False)


class Ages(Thread):
    """How old the global chart is, second by second, until `over`."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__()
        self._client = client
        self.over = Event()
        self.ages_s: list[float] = []

    def run(self) -> None:
        while not self.over.wait(1.0):
            chart = self._client.get("/v1/charts/top/1h").json()
            if chart.get("completeThrough"):
                through = datetime.fromisoformat(chart["completeThrough"])
                self.ages_s.append((datetime.now(UTC) - through).total_seconds())


@pytest.mark.timeout(3_600)
def test_listeners_wait_for_no_history(up: Callable[..., Up], tmp_path: Path) -> None:
    system = up("--rate", "50")
    address = system.healthy()
    user = "alba"
    history = [Heard(BEGAN_MS + number * STEP_MS, f"Song {number % 500}", "Artist") for number in range(LISTENS)]
    path = tmp_path / "history.csv"
    path.write_bytes(lastfm_table(history))
    scopes = [Scope.CHARTS_READ, Scope.LIBRARY_READ_ANY, Scope.EVENTS_WRITE_ANY]
    token = token_source(load(terminal(system.data)), user=None, scopes=scopes).token()
    client = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False)

    def listens(**span: str) -> int:
        answer = client.get(f"/v1/users/{user}/summary", params=span)
        assert answer.status_code in (200, 503), answer.text
        # A store that does not answer in time is asked again.
        return int(answer.json()["listens"]) if answer.status_code == 200 else -1

    def imported(file: Path) -> str:
        done = songline(system.data, "import", str(file), "--user", user, "--patience", "300")
        assert done.returncode == 0, done
        return done.stdout

    wait_for(lambda: client.get("/v1/charts/top/1h").status_code == 200, "the first chart", 120)
    ages = Ages(client)
    ages.start()
    began_s = time.monotonic()
    said = imported(path)
    took_s = time.monotonic() - began_s
    ages.over.set()
    ages.join()
    print(f"{LISTENS} listens in {took_s:.0f} s; charts were {max(ages.ages_s):.1f} s old at most")
    assert f"read {LISTENS:,}: {LISTENS:,} taken, 0 already known, 0 skipped" in said
    assert f"taken {LISTENS:,}: 0 matched, {LISTENS:,} by name only" in said
    assert max(ages.ages_s) < BOUND_S
    wait_for(lambda: listens() == LISTENS, "the library to have all of it", 300)

    def moment(number: int) -> str:
        return (datetime.fromtimestamp(BEGAN_MS / 1_000, UTC) + timedelta(milliseconds=number * STEP_MS)).isoformat()

    first = client.get(f"/v1/users/{user}/library", params={"since": moment(1_000), "until": moment(1_500)}).json()
    assert {one["plays"] for one in first["entries"]} == {1}
    assert {one["artist"] for one in first["entries"]} == {"Artist"}
    for window in ("5m", "1h", "24h", "7d"):
        charts = client.get(f"/v1/charts/top/{window}").json()["entries"]
        assert charts, window
        assert not [one for one in charts if one["songId"].startswith("name:")], window
    plays = client.get(f"/v1/songs/{song_name('Song 7', ['Artist']).id}/plays").json()
    assert sum(hour["listens"] for hour in plays["hours"]) == 0

    done = songline(system.data, "export", user, "--listenbrainz", "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done
    (back,) = (tmp_path / "out").iterdir()
    assert sum(1 for _ in read_history(io.BytesIO(back.read_bytes()), ReadOptions(user))) == LISTENS
    again = imported(back)
    assert f"read {LISTENS:,}: 0 taken, {LISTENS:,} already known" in again
    for text in (said, again):
        import_id = text.partition("(")[2].partition(")")[0]
        undone = songline(system.data, "import", "--undo", import_id, "--user", user)
        assert undone.returncode == 0, undone
    wait_for(lambda: listens() == 0, "the library to have nothing of it", 300)
