"""`songline up --like-azure` on a folder that `songline up` made, as a user runs it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from songline.processes.managed_identity import CLIENT, OTHER_SIGN_INS, VARIABLES, client_ids
from songline.processes.ports import reserved
from songline.schemas.events import SongPlayed
from tests.integration.songline.test_names_everywhere import LISTENER, LISTENERS, NAME, Doors, uploaded
from tests.integration.songline.test_up import PORTS, Up, environment, songline
from tests.support.histories import Heard, lastfm_table
from tests.support.waiting import wait_for

USER = "user-of-both"
DEADLINE_S = 180.0


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """The same for each system of a test: what it saved may have addresses."""
    with reserved(dict.fromkeys(PORTS, 0)) as kept:
        yield kept


@pytest.fixture
def systems() -> Iterator[list[Up]]:
    started: list[Up] = []
    yield started
    for system in started:
        system.end()


def has_listened(data: Path, times: int) -> bool:
    return f"{times} listens" in songline(data, "library", USER).stdout


def play(data: Path, song: str) -> None:
    published = songline(data, "publish", "--played", USER, song, "--played-ms", "184000", "--duration-ms", "201000")
    assert published.returncode == 0, published.stderr


def done_as_told(data: Path, refused: subprocess.CompletedProcess[str]) -> None:
    """Do to the letter what a command says that the owner of the account does."""
    assert refused.returncode == 2, refused.stderr
    told = re.search(r"-X (\w+) .*:PORT(/cosmos/\S+?)(?: -d '(.*)')?, where KEY", refused.stderr)
    assert told is not None, refused.stderr
    port, key = (json.loads((data / name).read_bytes())["control"] for name in ("endpoints.json", "keys.json"))
    address, authorized = f"http://127.0.0.1:{port}{told[2]}", {"Authorization": f"Bearer {key}"}
    answer = httpx.request(told[1], address, content=told[3], headers=authorized, timeout=60)
    assert answer.status_code in (201, 204), answer.text


def clients_of_keyless_processes(system: Up) -> set[str]:
    """The identities of the processes that have no key. All have none but Azurite, which stands for Blob Storage."""
    keys = json.loads((system.data / "keys.json").read_bytes()).values()
    found = {}
    for pid in system.members():
        folder = Path(f"/proc/{pid}")
        environ = environment(folder).decode()
        name = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
        if any(key in environ for key in keys):
            assert "node" in name, name
        elif client := re.search(rf"^{CLIENT}=(.*)$", environ.replace("\0", "\n"), re.MULTILINE):
            found[name] = client[1]
    return set(found.values())


@pytest.mark.timeout(900)
def test_a_system_with_keys_goes_on_without_one_and_versions_come_and_go(
    tmp_path: Path, systems: list[Up], ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    systems.append(Up(data, "--no-simulator", **ports))
    systems[-1].healthy()
    play(data, "song-1")
    wait_for(lambda: has_listened(data, 1), "the first play", DEADLINE_S)
    assert systems[-1].end() == 0
    for name in (CLIENT, *OTHER_SIGN_INS):
        monkeypatch.setenv(name, "of another system")
    system = Up(data, "--like-azure", "--no-simulator", **ports)
    systems.append(system)
    system.healthy()
    started = {name for name in client_ids() if name not in ("simulator", "broadcast")}
    assert clients_of_keyless_processes(system) == {client_ids()[name] for name in started}
    saved = (data / "songline.env").read_text()
    assert not any(key in saved for key in json.loads((data / "keys.json").read_bytes()).values())
    play(data, "song-2")
    wait_for(lambda: has_listened(data, 2), "both plays", DEADLINE_S)
    done_as_told(data, songline(data, "rebuild", "library", "--switch"))
    switched = songline(data, "rebuild", "library", "--switch")
    assert (switched.returncode, "version 2 of library is live" in switched.stderr) == (0, True), switched
    wait_for(lambda: has_listened(data, 2), "both plays in the next version", DEADLINE_S)
    done_as_told(data, songline(data, "projection", "drop", "library", "1"))
    again = songline(data, "projection", "drop", "library", "1")
    assert "was dropped" in again.stderr
    examined = songline(data, "doctor")
    assert (examined.returncode, "sign-in to Azure" in examined.stdout) == (0, True), examined.stdout
    assert system.end() == 0


def done(data: Path, *arguments: str) -> str:
    """What a command says that ends well."""
    ended = songline(data, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def counts(doors: Doors, song_id: str) -> list[int]:
    """The plays of a song in the chart, in its hours and in the listener's library."""
    return [count(song_id) for count in (doors.standing, doors.counted, doors.plays)]


def commands_reach_all_services(data: Path) -> None:
    """Each command that opens services itself, and does not ask the API, is done by the identity of the commands."""
    out = data.parent / "out"
    for line in (
        *(f"checkpoints show {worker}" for worker in ("broadcast", "catalog", "library", "trending")),
        "dlq list",
        "dlq log",
        "parked list",
        "parked log",
        f"listener token {LISTENER} --player speaker",
        f"listener tokens {LISTENER}",
        "projection list",
        f"export {LISTENER} -o {out / 'listener'}",
        f"export {LISTENER} --listenbrainz -o {out / 'listens'}",
        f"export --events -o {out / 'events'}",
        f"forget {LISTENER} --dry-run",
        "forget list",
    ):
        done(data, *line.split())
    counted = done(data, "sql", "select count(*) as plays from played", "--format", "csv")
    assert "plays\n3\n" in counted.replace("\r", "")


def versions_come_and_go(data: Path, projection: str) -> None:
    done_as_told(data, songline(data, "rebuild", projection, "--switch", "--drop-former"))
    # By then the next version is live, and the former one is dropped but for its container.
    done_as_told(data, songline(data, "rebuild", projection, "--switch", "--drop-former"))


@pytest.mark.timeout(1_200)
def test_what_came_by_identity_is_rebuilt_and_goes_on_with_keys(
    tmp_path: Path, systems: list[Up], ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        # A command takes them into its process, and this one is the test's own.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    data = tmp_path / "data"
    systems.append(Up(data, "--like-azure", "--no-simulator", **ports))
    doors = Doors(systems[-1].healthy(), data)
    doors.send(uploaded("song-matched", "Quiet Street", "Benno Falk"))
    wait_for(lambda: doors.get("/v1/songs/song-matched"), "the song in the catalog", DEADLINE_S)
    doors.send(*(SongPlayed(user_id=user, song_id=NAME.id) for user in LISTENERS))
    history = tmp_path / "history.csv"
    history.write_bytes(
        lastfm_table([Heard(1_500_000_000_000 + n * 240_000, "Quiet Street", "Benno Falk") for n in (0, 1)])
    )
    assert "taken 2: 2 matched" in done(data, "import", str(history), "--user", LISTENER)
    wait_for(lambda: counts(doors, NAME.id) == [3, 3, 1], "the name's plays", DEADLINE_S)
    wait_for(lambda: counts(doors, "song-matched") == [0, 0, 2], "the history's plays", DEADLINE_S)
    commands_reach_all_services(data)
    done(data, "match", "set", NAME.id, "song-matched")
    for projection in ("library", "charts", "plays", "songs"):
        versions_come_and_go(data, projection)
    wait_for(lambda: counts(doors, "song-matched") == [3, 3, 3], "all plays to count for the song", DEADLINE_S)
    assert doors.get("/v1/songs", q="Quiet")["songs"]
    assert systems[-1].end() == 0
    systems.append(Up(data, "--no-simulator", **ports))
    doors = Doors(systems[-1].healthy(), data)
    wait_for(lambda: counts(doors, "song-matched") == [3, 3, 3], "what came by identity", DEADLINE_S)
    assert doors.get("/v1/songs", q="Quiet")["songs"]
    doors.send(SongPlayed(user_id="dan", song_id=NAME.id))
    wait_for(lambda: counts(doors, "song-matched") == [4, 4, 3], "a play by keys", DEADLINE_S)
    # A key makes containers, and nobody has to be asked.
    assert "version 3 of library is live" in done(data, "rebuild", "library", "--switch")
    assert systems[-1].end() == 0
