"""`songline publish` and `songline simulate` as a user runs them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from localcloud.log.batch import BatchHeader
from localcloud.log.segment import Segment
from songline.cli import main
from songline.producers.simulation.config import SimulationConfig
from songline.producers.simulation.simulator import Simulation
from songline.schemas.envelope import decode, encode
from songline.schemas.events import SongLiked, SongPlayed, SongUploaded
from tests.integration.producers.reading import read_all
from tests.support.localcloud import LocalCloud, nobody
from tests.support.waiting import wait_for

START = datetime(2026, 1, 1, tzinfo=UTC)


def songline(
    *arguments: str, environment: Mapping[str, str], stdin: bytes = b"", folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "songline", *arguments],
        env=environment,
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
        cwd=folder,
    )


def lines(count: int) -> list[bytes]:
    return [encode(event) for _, event in islice(Simulation(3, START, SimulationConfig(songs=20, listeners=50)), count)]


async def bodies(cloud: LocalCloud) -> list[bytes]:
    return [value for partition in await read_all(cloud) for _, value in partition]


def batches(cloud: LocalCloud) -> Iterator[BatchHeader]:
    """The batches in which the hub got its events."""
    for path in (cloud.data / "hubs" / "hubs" / "music-events").glob("*/*.log"):
        yield from Segment.recover(path).headers()


async def test_a_file_full_of_bad_lines_loses_only_those(localcloud: LocalCloud, tmp_path: Path) -> None:
    good = lines(300)
    raw = next(event for event in map(msgspec.json.decode, reversed(good)) if "playedMs" in event["data"])
    broken = {
        b"{": "event: saw {, expected one JSON object",
        b"\x00\xff\x1b[2J\xfe": "event: saw",
        b"x" * 2_000_000: "expected at most 10240 bytes",
        msgspec.json.encode({**raw, "type": "songline.song.hummed.v1"}): "type: saw",
        msgspec.json.encode({**raw, "time": "2999-01-01T00:00:00Z"}): "time: saw",
        msgspec.json.encode({**raw, "data": {**raw["data"], "region": "XX"}}): 'data.region: saw "XX"',
        msgspec.json.encode({**raw, "data": {**raw["data"], "playedMs": "long"}}): 'data.playedMs: saw "long"',
    }
    file = tmp_path / "events.ndjson"
    mixed: list[bytes] = [*good[:100], b"", *broken, b"   ", *good[100:]]
    file.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(mixed))
    done = songline("publish", str(file), environment=localcloud.environment)
    said = done.stderr.decode()
    assert done.returncode == 1, said
    reports = [line for line in said.splitlines() if line.startswith("line ")]
    for report, (number, rule) in zip(reports, enumerate(broken.values(), 102), strict=True):
        assert report.startswith(f"line {number}: ")
        assert rule in report
    assert "\x1b" not in said
    assert f"300 sent, {len(broken)} refused" in said
    assert Counter(await bodies(localcloud)) == Counter(good)


async def test_standard_input_and_options(localcloud: LocalCloud) -> None:
    environment = localcloud.environment
    piped = songline("publish", "-", environment=environment, stdin=b"\n".join(lines(30)))
    assert (piped.returncode, b"30 sent" in piped.stderr) == (0, True)
    played = "--played user-7 song-42 --played-ms 184000 --duration-ms 201000 --region DE --device ios"
    assert songline("publish", *played.split(), environment=environment).returncode == 0
    liked = "--liked user-7 song-42 --time 2026-01-02T03:04:05+01:00"
    assert songline("publish", *liked.split(), environment=environment).returncode == 0
    uploaded = ["--uploaded", "user-8", "song-43", "--title", "A B", "--artist", "C", "--duration-ms", "1000"]
    assert songline("publish", *uploaded, environment=environment).returncode == 0
    data = [decode(body).data for body in await bodies(localcloud)]
    assert len(data) == 33
    assert SongLiked(user_id="user-7", song_id="song-42") in data
    assert SongUploaded(user_id="user-8", song_id="song-43", title="A B", artist="C", duration_ms=1000) in data
    play = SongPlayed(
        user_id="user-7", song_id="song-42", played_ms=184_000, duration_ms=201_000, region="DE", device="ios"
    )
    assert play in data


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--uploaded u s", "--uploaded needs --title, --artist, --duration-ms"),
        ("--liked u s --title x", "--liked takes no --title"),
        ("--liked u s --removed u s", "Say one thing that happened"),
        ("--region DE", "Say one thing that happened"),
        ("--liked u s --time yesterday", "--time: saw 'yesterday'"),
        ("no-such-file.ndjson", "no-such-file.ndjson"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: str, said: str) -> None:
    done = CliRunner().invoke(main, ["publish", *arguments.split()])
    assert done.exit_code == 2
    assert said in done.stderr


def test_one_refused_event_ends_with_1(shared_localcloud: LocalCloud) -> None:
    done = songline("publish", "--liked", "user 7", "song", environment=shared_localcloud.environment)
    assert done.returncode == 1
    assert 'saw "user 7", expected 1 to 128 characters' in done.stderr.decode()


def test_missing_settings_end_with_2_and_no_hub_with_3(tmp_path: Path) -> None:
    like = ("publish", "--liked", "user", "song", "--patience", "0.3")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "SONGLINE_"))}
    unset = songline(*like, environment=bare, folder=tmp_path)
    assert (unset.returncode, b"AZURE_EVENTHUB_CONNECTIONSTRING" in unset.stderr) == (2, True)
    away = songline(*like, environment=nobody(tmp_path).environment)
    assert (away.returncode, b"try again later" in away.stderr) == (3, True)


async def test_simulate_sends_as_many_as_asked(localcloud: LocalCloud) -> None:
    world = "--rate 500 --songs 100 --listeners 500 --duplicates 0 --seed 4"
    done = songline("simulate", *world.split(), "--count", "1000", environment=localcloud.environment)
    assert (done.returncode, b"1,000 sent" in done.stderr) == (0, True)
    sent = [decode(body) for body in await bodies(localcloud)]
    assert len(sent) == len({event.id for event in sent}) == 1_000
    assert sum(isinstance(event.data, SongUploaded) for event in sent) >= 100
    # Each batch is work for the hub and for each of its readers.
    assert len(list(batches(localcloud))) < 60


async def test_simulate_shares_the_work_among_processes(localcloud: LocalCloud) -> None:
    world = "--rate 2000 --songs 100 --listeners 500 --duplicates 0 --processes 2"
    done = songline("simulate", *world.split(), "--count", "1001", environment=localcloud.environment)
    assert (done.returncode, b"1,001 sent" in done.stderr) == (0, True)
    sent = [decode(body) for body in await bodies(localcloud)]
    assert len(sent) == len({event.id for event in sent}) == 1_001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_simulate_ends_cleanly_and_keeps_what_it_said_is_sent(
    localcloud: LocalCloud, number: signal.Signals, processes: str
) -> None:
    hubs = localcloud.data / "hubs"
    size = sum(file.stat().st_size for file in hubs.rglob("*") if file.is_file())
    running = subprocess.Popen(
        [sys.executable, "-m", "songline", "simulate", "--rate", "200", "--songs", "50", "--processes", processes],
        env=localcloud.environment,
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(
            lambda: sum(file.stat().st_size for file in hubs.rglob("*") if file.is_file()) > size + 30_000,
            "events in the hub",
        )
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0, said
    sent = len(asyncio.run(bodies(localcloud)))
    assert f"{sent:,} sent" in said.decode()


def test_simulate_ends_cleanly_while_its_processes_start(localcloud: LocalCloud) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "songline", "simulate", "--processes", "3"],
        env=localcloud.environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    try:
        wait_for(lambda: len(children.read_text().split()) >= 2, "the first process of the simulation")
        # As a terminal does, whose Ctrl-C reaches all of them.
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0, said
    assert b"Traceback" not in said


@pytest.mark.parametrize(("hangs", "processes"), [(True, "1"), (False, "1"), (False, "2")])
def test_simulate_ends_while_the_hub_is_away_and_says_what_it_did_not_take(
    localcloud: LocalCloud, hangs: bool, processes: str
) -> None:
    words = ["simulate", "--rate", "200", "--songs", "50", "--processes", processes]
    running = subprocess.Popen(
        [sys.executable, "-m", "songline", *words], env=localcloud.environment, stderr=subprocess.PIPE
    )
    try:
        assert running.stderr is not None
        while b" events/s, " not in running.stderr.readline():
            assert running.poll() is None
        if hangs:
            os.kill(localcloud.pid, signal.SIGSTOP)
        else:
            localcloud.kill()
        assert running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()
        if hangs:
            os.kill(localcloud.pid, signal.SIGCONT)
    assert running.returncode == 0, said
    assert b"not taken by the hub" in said
    assert b"Traceback" not in said


def test_written_simulations_are_the_same_to_the_byte(tmp_path: Path) -> None:
    world = "simulate --count 2000 --songs 50 --start 2026-11-22T14:00:00Z --seed 9 --out".split()
    to_file = songline(*world, "events.ndjson", environment=os.environ, folder=tmp_path)
    to_pipe = songline(*world, "-", environment={**os.environ, "PYTHONHASHSEED": "5"})
    assert (to_file.returncode, to_pipe.returncode) == (0, 0)
    assert (tmp_path / "events.ndjson").read_bytes() == to_pipe.stdout
    assert len(to_pipe.stdout.splitlines()) == 2_000


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "songline", "simulate", "--out", "-", "--songs", "50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline().startswith(b'{"specversion"')
    running.stdout.close()
    assert running.wait(60) == 0
    assert running.stderr.read() == b""
    running.stderr.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--skips 3 --out -", "skips"),
        ("--bot-share 0.9 --uploads 0.5 --out -", "bot_share and uploads"),
        ("--start 2026-01-01T00:00:00Z", "--start goes with --out"),
        ("--start 1990-01-01T00:00:00Z --out -", "start: saw 1990"),
        ("--out - --processes 2", "--processes is for sending"),
        ("--rate 4 --pacing real --out -", "--rate: with --pacing real"),
        ("--pacing slow --out -", "--pacing"),
        ("--duration 1e12", "--duration"),
        ("--count 100000000000000000000 --out -", "--count"),
        ("--count 1000000000 --rate 1e-9 --out -", "expected a shorter run"),
        ("--start 9999-12-31T23:59:59Z --count 10000 --out -", "expected a shorter run"),
    ],
)
def test_wrong_worlds_end_with_2(arguments: str, said: str) -> None:
    done = CliRunner().invoke(main, ["simulate", *arguments.split()])
    assert done.exit_code == 2
    assert said in done.stderr
