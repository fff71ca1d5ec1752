"""Processes run side by side: none outlives the supervisor, and whatever goes wrong is told by name."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from honcho.printer import Message

from songline.processes import supervise
from songline.processes.restarts import RestartPolicy
from songline.processes.supervise import Service, ServiceDiedError, StopError, Supervisor
from songline.processes.vitals import Checkup, UnansweredError, Vitals
from songline.schemas.progress_report import NotReadyCause, ProgressReport, not_ready
from tests.support.waiting import has_ended, wait_for

FOREVER = "exec sleep 300"


@pytest.fixture(autouse=True)
def with_a_terminal() -> Iterator[None]:
    """However the tests themselves were started: with nohup the end of a terminal would be nothing to them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, told: list[str]) -> Iterator[Supervisor]:
    with Supervisor(os.environ, tmp_path / "logs", told.append) as supervisor:
        yield supervisor


def healthy() -> str:
    return ""


def pid_in(file: Path) -> int:
    return int(wait_for(lambda: file.exists() and file.read_text().strip(), f"a process id in {file.name}"))


def test_a_service_is_healthy_when_its_probe_says_so(supervisor: Supervisor, tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    def probe() -> str:
        return "" if ready.exists() else "the file"

    supervisor.start(Service("one", f"touch {ready}; {FOREVER}", probe))
    assert supervisor.wait("one", patience=10) < 10


def test_one_that_is_not_healthy_in_time_is_named_with_what_it_waits_for(supervisor: Supervisor) -> None:
    supervisor.start(Service("slow", FOREVER, lambda: "port 9 is closed"))
    with pytest.raises(ServiceDiedError, match=r"slow was not healthy within 0\.2 s \(port 9 is closed\)"):
        supervisor.wait("slow", patience=0.2)


def test_a_death_while_starting_is_told_with_the_last_lines(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(Service("one", "seq 1 50; echo 'no disk' >&2; exit 3", lambda: "anything", restarts=True))
    with pytest.raises(ServiceDiedError) as caught:
        supervisor.wait("one", patience=10)
    text = str(caught.value)
    assert "one ended with exit code 3. Its last lines were:" in text
    assert "\n  50\n  no disk\n" in text
    assert "\n  30\n" not in text
    log = tmp_path / "logs" / "one.log"
    assert str(log) in text
    assert log.read_text().splitlines() == [*map(str, range(1, 51)), "no disk"]


def test_what_may_not_restart_takes_the_rest_down(tmp_path: Path, told: list[str]) -> None:
    pids = tmp_path / "pid"
    with pytest.raises(ServiceDiedError, match="two ended by SIGKILL"):  # noqa: SIM117 - the point is what the exit does
        with Supervisor(os.environ, tmp_path / "logs", told.append) as supervisor:
            supervisor.start(Service("one", f"echo $$ > {pids}; {FOREVER}", healthy))
            one = pid_in(pids)
            supervisor.start(Service("two", "kill -9 $$", healthy))
            supervisor.watch()
    assert has_ended(one)


def brisk(
    tmp_path: Path, told: list[str], pauses: tuple[float, ...] = (0.01, 0.02), steady_s: float = 60
) -> Supervisor:
    """A supervisor that waits for little."""
    return Supervisor(
        os.environ,
        tmp_path / "logs",
        told.append,
        restarts=lambda: RestartPolicy(pauses, steady_s),
        vitals=lambda: Vitals(hung_s=0.2, stuck_s=0.2),
        period_s=0.02,
    )


def test_what_may_restart_is_started_again_a_few_times(told: list[str], tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    with brisk(tmp_path, told) as supervisor:
        supervisor.start(Service("one", f"echo life >> {lives}; echo 'lost the hub'; exit 1", healthy, restarts=True))
        with pytest.raises(ServiceDiedError, match="one ended with exit code 1"):
            supervisor.watch()
    assert lives.read_text() == "life\n" * 3
    log = tmp_path / "logs" / "one.log"
    assert told == [
        f'one ended with exit code 1: "lost the hub". Started again in {pause} s; its lines are in {log}'
        for pause in ("0.01", "0.02")
    ]


def test_a_steady_life_earns_new_restarts(told: list[str], tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    dies_at_third = f"echo life >> {lives}; [ $(wc -l < {lives}) -lt 3 ] || kill -TERM {os.getpid()}; exit 1"
    with brisk(tmp_path, told, pauses=(0.01,), steady_s=0) as supervisor:
        supervisor.start(Service("one", dies_at_third, healthy, restarts=True))
        with pytest.raises(StopError, match="SIGTERM"):
            supervisor.watch()
    assert len(told) >= 2


@pytest.mark.parametrize("ends", ["exit 75", "kill -9 $$"])
def test_what_noted_its_crash_or_was_killed_is_started_again_any_number_of_times(
    told: list[str], tmp_path: Path, ends: str
) -> None:
    lives = tmp_path / "lives"
    dies = f"echo life >> {lives}; [ $(wc -l < {lives}) -lt 7 ] || kill -TERM {os.getpid()}; {ends}"
    with brisk(tmp_path, told) as supervisor:
        supervisor.start(Service("one", dies, healthy, restarts=True))
        with pytest.raises(StopError, match="SIGTERM"):
            supervisor.watch()
    assert len(lives.read_text().splitlines()) >= 7


def checked(*answers: ProgressReport | UnansweredError | None) -> Checkup:
    """A checkup that gives these, and the last for ever."""
    left = list(answers)

    def checkup() -> ProgressReport | None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, UnansweredError):
            raise answer
        return answer

    return checkup


def reported(*causes: NotReadyCause) -> ProgressReport:
    reasons = tuple(not_ready("one", cause, f"it is {cause}") for cause in causes)
    return ProgressReport(worker="one", as_of=datetime(2026, 11, 28, tzinfo=UTC), reasons=reasons)


@pytest.mark.parametrize(
    ("checkup", "said"),
    [
        (checked(None, UnansweredError("no")), "one has not answered for 0 s. It is ended, to be started again"),
        (
            checked(reported(NotReadyCause.STANDS_STILL)),
            "one is stuck: it is stands-still. It is ended, to be started again",
        ),
    ],
)
def test_what_hangs_or_stands_still_is_ended_and_started_again(
    told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkup: Checkup, said: str
) -> None:
    monkeypatch.setattr(supervise, "DRAIN", 0.1)
    lives = tmp_path / "lives"
    # It does not hear SIGTERM, as one that was stopped, or hangs in a library, does not.
    deaf = "trap '' TERM; while :; do sleep 0.05; done"
    command = f"echo life >> {lives}; [ $(wc -l < {lives}) -lt 2 ] || kill -TERM {os.getpid()}; {deaf}"
    with brisk(tmp_path, told, pauses=(0.01,)) as supervisor:
        supervisor.start(Service("one", command, healthy, restarts=True, checkup=checkup))
        with pytest.raises(StopError, match="SIGTERM"):
            supervisor.watch()
        monkeypatch.setattr(supervise, "GRACE", 0.1)
    # Once for each of its two lives at most, and the second one ends with the test.
    assert 1 <= told.count(said) <= 2
    assert any("one ended by SIGKILL. Started again in 0.01 s" in line for line in told)


@pytest.mark.parametrize(
    "checkup",
    [
        checked(UnansweredError("it has not begun to answer")),
        checked(reported(NotReadyCause.FAR_BEHIND)),
        checked(reported(NotReadyCause.STANDS_STILL, NotReadyCause.SERVICE_AWAY)),
        checked(reported(NotReadyCause.STANDS_STILL, NotReadyCause.TOO_MANY_PARKED)),
    ],
)
def test_what_begins_is_slow_or_waits_for_a_service_goes_on(told: list[str], tmp_path: Path, checkup: Checkup) -> None:
    asked = threading.Semaphore(0)

    def counted() -> ProgressReport | None:
        asked.release()
        return checkup()

    def stop() -> None:
        """Once it is asked, and a while after that."""
        asked.acquire(timeout=60)
        time.sleep(0.6)
        os.kill(os.getpid(), signal.SIGTERM)

    with brisk(tmp_path, told) as supervisor:
        supervisor.start(Service("one", FOREVER, healthy, restarts=True, checkup=counted))
        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(StopError):
            supervisor.watch()
        stopping.join()
    assert not any("to be started again" in line for line in told)


def test_one_that_catches_up_is_waited_for_no_longer(told: list[str], tmp_path: Path) -> None:
    with brisk(tmp_path, told) as supervisor:
        behind = checked(reported(NotReadyCause.FAR_BEHIND))
        supervisor.start(Service("one", FOREVER, lambda: "503", checkup=behind))
        supervisor.wait("one", patience=5)
        assert supervisor.catches_up("one") == reported(NotReadyCause.FAR_BEHIND)


def test_one_that_reads_its_state_is_waited_for(told: list[str], tmp_path: Path) -> None:
    moving = reported(NotReadyCause.PARTITIONS_MOVING)
    with brisk(tmp_path, told) as supervisor:
        began = time.monotonic()
        supervisor.start(
            Service("one", FOREVER, lambda: "503" if time.monotonic() < began + 0.8 else "", checkup=checked(moving))
        )
        supervisor.wait("one", patience=0.3)
        # Counted from where the probe counts: what `wait` returns begins with the process, a little later.
        assert time.monotonic() >= began + 0.8


def test_what_one_waits_for_is_told_now_and_then(
    told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "WAITS_SHOWN_S", 0.1)
    with brisk(tmp_path, told) as supervisor:
        supervisor.start(Service("one", FOREVER, lambda: "" if len(told) > 1 else "port 9 is closed"))
        supervisor.wait("one", patience=10)
    assert told == ["one waits: port 9 is closed"] * 2


def test_a_disk_that_is_full_stops_nothing_and_is_told_once(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond a limit: the system refuses to write with EFBIG."""
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = done.stdout.splitlines()
    assert [line.partition(" (")[0].partition(";")[0] for line in said] == [
        f"logs in {tmp_path}/logs can't be written",
        f"logs in {tmp_path}/logs are written again",
    ] * 2
    assert "(OSError: File too large)" in said[0]
    kept = (tmp_path / "logs" / "one.log").read_text().splitlines()
    assert kept[-1] == "after"


FULL = """
import os, resource, signal, sys
from pathlib import Path
from songline.processes import service_logs
from songline.processes.supervise import Service, Supervisor
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
service_logs.QUIET_S = 0.2
folder, told = Path(sys.argv[1]), []
def tell(line):
    print(line)
    told.append(line)
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
log = folder / "logs" / "one.log"
with Supervisor(os.environ, folder / "logs", tell) as supervisor:
    command = f"while :; do seq 1 200; [ -e {folder}/after ] && echo after && exec sleep 300; sleep 0.05; done"
    supervisor.start(Service("one", command, lambda: ""))
    def goes_on(probe):
        supervisor.wait("one", 30, lambda: "" if probe() else "it")
    for number in (1, 2):
        limit(5_000 * number)
        goes_on(lambda: len(told) == 2 * number - 1)
        limit(resource.RLIM_INFINITY)
        goes_on(lambda: len(told) == 2 * number)
    (folder / "after").touch()
    goes_on(lambda: "after" in log.read_text().splitlines()[-1:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it(supervisor: Supervisor, number: signal.Signals) -> None:
    supervisor.start(Service("one", FOREVER, healthy))
    timer = threading.Timer(0.1, os.kill, (os.getpid(), number))
    timer.start()
    with pytest.raises(StopError, match=number.name):
        supervisor.watch()
    timer.join()


SCRIPT = """
import os, sys, time
from pathlib import Path
from songline.processes.supervise import Service, Supervisor
with Supervisor(os.environ, Path(sys.argv[1]) / "logs", print) as supervisor:
    supervisor.start(Service("one", f"echo $$ > {sys.argv[1]}/one; exec sleep 300", lambda: ""))
    supervisor.start(Service("nest", f"sleep 300 & echo $! > {sys.argv[1]}/two; wait", lambda: ""))
    supervisor.watch()
"""


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(script) as process:
        pids = [pid_in(tmp_path / "one"), pid_in(tmp_path / "two")]
        process.kill()
    wait_for(lambda: all(map(has_ended, pids)), f"the end of {pids}")


def test_nothing_begins_that_would_outlive_a_supervisor_killed_by_then(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"

    def late(_: Supervisor, line: str) -> None:
        time.sleep(0.5)
        assert not begun.exists(), line

    monkeypatch.setattr(Supervisor, "_tell_reaper", late)
    supervisor.start(Service("one", f"touch {begun}; {FOREVER}", healthy))
    wait_for(begun.exists, "it to begin")


def test_it_stops_when_its_parent_is_gone(tmp_path: Path) -> None:
    # The shell in between is the parent, and is killed.
    line = f"{sys.executable} -c '{SCRIPT}' {tmp_path} & echo $! > {tmp_path}/me; wait"
    with subprocess.Popen(["sh", "-c", line], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as shell:
        pids = [pid_in(tmp_path / name) for name in ("me", "one", "two")]
        shell.kill()
    wait_for(lambda: all(map(has_ended, pids)), f"the end of {pids}")


def test_every_line_is_shown_to_who_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []

    class Paper:
        def write(self, message: Message) -> None:
            written.append(f"{message.name}: {message.data}")

    with Supervisor(os.environ, tmp_path / "logs", print, Paper()) as supervisor:
        supervisor.start(
            Service(
                "one", "printf 'caf\\303\\251\\n\\377\\n'; exec sleep 300", lambda: "" if len(written) == 2 else "lines"
            )
        )
        supervisor.wait("one", patience=10)
    assert written == ["one: café", "one: \ufffd"]
