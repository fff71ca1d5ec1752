"""`songline up`, as a user runs it: a process with everything on free ports."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from songline.identity.scopes import OWN_SCOPES
from songline.identity.token_source import token_source
from songline.processes.environment import load
from songline.processes.ports import HOST
from tests.support.audio import song
from tests.support.http import PLAIN
from tests.support.opensubsonic_players import played_by_real_players
from tests.support.secrecy import listening, loosened, readable_by_others, shown_secrets
from tests.support.waiting import wait_for

PORTS = (
    "--port",
    "--eventhubs-port",
    "--kafka-port",
    "--cosmos-port",
    "--servicebus-port",
    "--servicebus-admin-port",
    "--blob-port",
    "--control-port",
    "--identity-port",
    "--trending-port",
    "--catalog-port",
    "--ingestion-port",
    "--library-port",
)
RESTARTED = (
    "songline.processors.trending",
    "songline.processors.catalog",
    "songline.processors.library",
    "songline.processors.ingestion",
    "songline.api",
)
DEADLINE = 180.0


SONG = song("flac", 1.0)
GENRE = "music of tests"


class Up:
    """A `songline up` on `data`, with what it has said so far in `said`."""

    def __init__(self, data: Path, *arguments: str, **ports: int) -> None:
        self.data = data
        options = [f"{option}={ports.get(option, 0)}" for option in PORTS]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "songline", "up", "--data", str(data), *options, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            self.said.extend(iter(output.readline, ""))

    @property
    def text(self) -> str:
        return "".join(self.said)

    def healthy(self) -> str:
        """The API's address, once all is up."""
        wait_for(lambda: "Songline is up" in self.text or self.process.poll() is not None, "`up`", DEADLINE)
        found = re.search(r"the API +(\S+)/docs", self.text)
        assert found, self.text
        return found[1]

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Its exit code after the signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(DEADLINE)
        self._reader.join()
        return code

    def members(self) -> list[int]:
        """The processes whose environment names our data folder: all that it started, and nothing else's."""
        mark = f"SONGLINE_DATA={self.data}\0".encode()
        return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if mark in environment(folder)]


def environment(folder: Path) -> bytes:
    try:
        return (folder / "environ").read_bytes() + b"\0"
    except OSError:
        return b""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts systems on the test's own data folder, and ends each of them."""
    systems: list[Up] = []

    def start(*arguments: str, **ports: int) -> Up:
        systems.append(Up(tmp_path / "data", *arguments, **ports))
        return systems[-1]

    yield start
    for system in systems:
        system.end(signal.SIGTERM)


def songline(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Another terminal, in which nothing but the data folder is known."""
    return run([sys.executable, "-m", "songline", *arguments], terminal(data))


def terminal(data: Path) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "SONGLINE_"))}
    return {**environ, "SONGLINE_DATA": str(data)}


def run(command: Sequence[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=DEADLINE, check=False)


def chart(api: str) -> dict[str, Any]:
    answer = httpx.get(f"{api}/v1/charts/top/1h", timeout=60, verify=PLAIN)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def listens(api: str) -> int:
    return sum(entry["listens"] for entry in chart(api)["entries"])


def counted(api: str) -> int:
    return sum(chart(api)["position"].values())


@pytest.mark.timeout(600)
def test_a_system_lives_grows_is_found_ends_and_goes_on(up: Callable[..., Up]) -> None:
    # As an earlier version left its data: under published keys, for every user to read.
    first = up("--rate=10", "--dev-keys")
    api = first.healthy()
    before = listens(api)
    wait_for(lambda: listens(api) > before, "more listens", DEADLINE)
    entries = chart(api)["entries"]
    assert all(entry["title"] and entry["artist"] for entry in entries)

    shown = songline(first.data, "chart", "top", "1h", "--limit", "3")
    assert shown.returncode == 0, shown.stderr
    assert "top · last 1h · global" in shown.stdout
    told = songline(first.data, "chart", "top", "1h", "--json")
    assert json.loads(told.stdout)["kind"] == "top"

    # On a busy machine a service may not answer in the time that the doctor gives it.
    wait_for(lambda: all_is_well(first.data), "the doctor to find nothing", DEADLINE)

    nobody_reads_or_writes_as_a_listener(first, api)
    sees_what_they_wrote(first, api)
    kept = uploaded(first, api)
    played_by_real_players(api, kept, SONG, GENRE, partial(songline, first.data))
    taken_away(first, api, entries[0]["songId"])

    second = up()
    assert second.ended() == 1
    assert f"runs on {first.data} already (process {first.process.pid})" in second.text

    members = first.members()
    assert len(members) >= 6
    last = counted(api)
    assert first.end(signal.SIGINT) == 0, first.text
    assert first.members() == []
    assert not (first.data / "songline.env").exists()

    assert not (first.data / "keys.json").exists()
    loosened(first.data)

    again = up("--rate=10")
    api = again.healthy()
    assert again.text.count("From now on it has keys of its own") == 1
    wait_for(lambda: grown(api, last), "charts that go on where they ended", DEADLINE)
    killed_workers_are_started_again(again, api)
    assert sound(api, kept) == SONG
    assert readable_by_others(again.data) == {}
    assert {address for address in listening(again.members()) if not address.startswith("127.0.0.1:")} == set()
    assert shown_secrets(again.data, again.text, again.members(), terminal(again.data)) == {}
    # Killed itself, it leaves no process behind.
    again.process.kill()
    again.ended()
    wait_for(lambda: not again.members(), "the end of all", DEADLINE)
    assert readable_by_others(again.data) == {}


def all_is_well(data: Path) -> bool:
    """Whether the doctor finds nothing; its exit code says the same."""
    examined = songline(data, "doctor", "--json")
    statuses = {finding["status"] for finding in json.loads(examined.stdout)}
    assert (examined.returncode == 1) == ("fail" in statuses)
    return statuses == {"ok"}


def killed_workers_are_started_again(system: Up, api: str) -> None:
    """All but ingestion, at once, and charts go on."""
    killed = {module: leader(system, module) for module in RESTARTED if module != "songline.processors.ingestion"}
    started_anew(system, killed)
    before = wait_for(lambda: ready(api) and counted(api), "the API's health", DEADLINE)
    for module in killed:
        assert f"{module.rpartition('.')[2]} ended by SIGKILL" in system.text
    wait_for(lambda: grown(api, before), "charts that go on", DEADLINE)


def bearer(system: Up, user: str) -> dict[str, str]:
    """The header with a token about `user`, as a command in another terminal has it."""
    token = token_source(load({"SONGLINE_DATA": str(system.data)}), user=user, scopes=OWN_SCOPES).token()
    return {"Authorization": f"Bearer {token}"}


def nobody_reads_or_writes_as_a_listener(system: Up, api: str) -> None:
    """Charts, songs and the page are open, and nothing else. What is printed of them can be opened."""
    for path in ("/", "/docs", "/v1/charts/top/1h", "/v1/songs", "/v1/charts"):
        # The store may be slow to answer for the first time.
        wait_for(partial(is_open, f"{api}{path}"), f"{path} without a token", DEADLINE)
    library, like = f"{api}/v1/users/visitor/library", f"{api}/v1/users/visitor/likes/song-of-iceland"
    for headers, status in ((None, 401), (bearer(system, "other"), 403)):
        assert httpx.get(library, headers=headers, timeout=60).status_code == status
        assert httpx.put(like, headers=headers, timeout=60).status_code == status
    shown = songline(system.data, "library", "visitor")
    assert shown.returncode == 0, shown.stderr
    for pid in system.members():
        assert b"\0SONGLINE_CLIENT_" not in environment(Path(f"/proc/{pid}"))


def is_open(url: str) -> bool:
    answer = httpx.get(url, timeout=60, verify=PLAIN)
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200


def sees_what_they_wrote(system: Up, api: str) -> None:
    headers = bearer(system, "visitor")
    # Without a position it is kept on disk: the API has not reached the hub in time, on a machine that has just begun.
    positions = wait_for(lambda: listened(api, headers).get("position") or {}, "the hub to take a listen", DEADLINE)
    ((partition, number),) = positions.items()
    least = f"min_position={partition}:{number}&wait=30"

    def answered(path: str) -> dict[str, Any] | None:
        answer = httpx.get(f"{api}{path}?{least}", headers=headers, timeout=90)
        if answer.status_code == 503:
            return None
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    recent = wait_for(lambda: answered("/v1/users/visitor/recent"), "the listen in their library", DEADLINE)
    assert recent is not None
    assert {listen["songId"] for listen in recent["listens"]} == {"song-of-iceland"}
    chart = wait_for(lambda: answered("/v1/charts/top/1h"), "a chart that has it", DEADLINE)
    assert chart is not None
    assert chart["position"][partition] >= number


def listened(api: str, headers: dict[str, str]) -> dict[str, Any]:
    play = {"userId": "visitor", "playedMs": 60_000, "durationMs": 60_000, "region": "IS"}
    answer = httpx.post(
        f"{api}/v1/songs/song-of-iceland/plays", json=play, headers=headers, timeout=60
    ).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def uploaded(system: Up, api: str) -> str:
    """A song that went in by the command and is found and heard; its id."""
    file = system.data.parent / "paper-lanterns.flac"
    file.write_bytes(SONG)
    sent = songline(system.data, "upload", str(file), "--artist", "Nova Reed", "--genre", GENRE)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    found = re.search(r"\(?([0-9a-f-]{36})\)?$", sent.stdout.splitlines()[0].rstrip())
    assert found, sent.stdout
    song_id = found[1]
    wait_for(lambda: sound(api, song_id) == SONG, "the song's sound", DEADLINE)
    part = httpx.get(f"{api}/v1/songs/{song_id}/audio", headers={"Range": "bytes=10-19"}, timeout=60)
    assert (part.status_code, part.content) == (206, SONG[10:20])
    shown = songline(system.data, "songs", "lanterns", "--artist", "nova reed", "--json")
    assert [song["id"] for song in json.loads(shown.stdout)["songs"]] == [song_id]
    assert "No command has died" in songline(system.data, "dlq", "list").stdout
    return song_id


def sound(api: str, song_id: str) -> bytes | None:
    answer = httpx.get(f"{api}/v1/songs/{song_id}/audio", timeout=60, verify=PLAIN)
    return answer.content if answer.status_code == 200 else None


def taken_away(system: Up, api: str, song_id: str) -> None:
    """A simulated song goes by its uploader's wish, from the catalog and from the charts."""
    url = f"{api}/v1/songs/{song_id}"
    uploader = httpx.get(url, timeout=60).json()["song"]["userId"]
    asked = httpx.delete(url, headers=bearer(system, uploader), timeout=60)
    assert asked.status_code == 202, asked.text
    wait_for(lambda: httpx.get(url, timeout=60, verify=PLAIN).status_code == 410, "its end", DEADLINE)
    wait_for(lambda: all(entry["songId"] != song_id for entry in chart(api)["entries"]), "its way out", DEADLINE)


def test_a_taken_port_is_named_with_its_option(up: Callable[..., Up]) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        system = up(**{"--kafka-port": port})
        assert system.ended() == 1
    assert f"port {port} is taken by another process" in system.text
    assert "--kafka-port" in system.text
    assert system.members() == []


def test_whatever_is_killed_or_hangs_is_started_again_and_charts_go_on(up: Callable[..., Up]) -> None:
    system = up("--rate=10")
    api = system.healthy()
    # It takes half a minute until it counts as hanging; the others are killed meanwhile.
    hangs = leader(system, "songline.processors.ingestion")
    os.kill(hangs, signal.SIGSTOP)
    killed_workers_are_started_again(system, api)

    before = counted(api)
    started_anew(system, {"localcloud": leader(system, "localcloud")})
    wait_for(lambda: grown(api, before), "charts that go on", DEADLINE)
    assert system.text.count("localcloud ended by SIGKILL") == 1
    localcloud = leader(system, "localcloud")
    (azurite,) = children(localcloud)
    os.kill(azurite, signal.SIGKILL)
    wait_for(lambda: leader(system, "localcloud") not in (0, localcloud), "localcloud with another Azurite", DEADLINE)
    before = wait_for(lambda: ready(api) and counted(api), "the API's health", DEADLINE)
    wait_for(lambda: grown(api, before), "charts that go on", DEADLINE)

    wait_for(lambda: leader(system, "songline.processors.ingestion") not in (0, hangs), "ingestion once more", DEADLINE)
    assert "ingestion has not answered for" in system.text
    # Without what they need the others can't end well, and need not try for long.
    os.kill(leader(system, "localcloud"), signal.SIGKILL)
    assert system.end(signal.SIGTERM) == 0
    assert system.members() == []


def started_anew(system: Up, killed: dict[str, int]) -> None:
    """Kill these processes, by module, and wait until each has another."""
    # 0 would be the process group of this very test.
    assert all(killed.values()), f"not running: {killed}"
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    wait_for(
        lambda: all(leader(system, module) not in (0, pid) for module, pid in killed.items()), "all again", DEADLINE
    )


def grown(api: str, before: int) -> bool:
    """Whether the charts count more events than `before`; the API answers 503 while it can't read them."""
    try:
        answer = httpx.get(f"{api}/v1/charts/top/1h", timeout=60, verify=PLAIN)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and sum(answer.json()["position"].values()) > before


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def leader(system: Up, module: str) -> int:
    """The process that runs `python -m module`, 0 while there is none."""
    for pid in system.members():
        with suppress(OSError):  # it has ended meanwhile
            if f"\0-m\0{module}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return 0


def ready(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health/ready", timeout=60, verify=PLAIN).status_code == 200
    except httpx.TransportError:
        return False
