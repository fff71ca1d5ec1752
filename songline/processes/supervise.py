"""The supervisor: starts processes in order, checks their health, restarts them, and ends them together.

The commands are lines of a Procfile. honcho parses it, runs each line in its own process group and prints its output.
honcho's own manager starts all processes at once and ends all with the first that ends, so this module has the order,
the health checks and the restarts.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Self

from honcho.printer import Message, Printer
from honcho.process import Popen
from msgspec import Struct

from songline.processes import reaper
from songline.processes.health_news import HealthNews, catching_up, gets_ready
from songline.processes.restarts import UNCOUNTED, RestartPolicy
from songline.processes.service_logs import ServiceLogs
from songline.processes.vitals import PERIOD_S, Checkup, CheckupResult, CheckupThread, Vitals
from songline.schemas.progress_report import ProgressReport

Probe = Callable[[], str]
"""Returns what a service still waits for; empty if it is healthy."""

STEP = 0.05
WATCH_STEP = 0.2
"""Seconds for which the supervisor waits for output, at most, before it looks at signals, checkups and processes: while
it starts and ends them, and after that."""
GRACE = 10.0
DRAIN = 5.0
"""Seconds until SIGKILL for a process that is stuck, or that can't end cleanly because a service it needs is gone."""
BEGINS = "read -r begins && exec </dev/null || exit; "
"""Before each command: it begins when its supervisor says so, which is once the reaper knows of it, or never."""
TAIL = 20
WAITS_SHOWN_S = 15.0
"""Seconds between two lines about a service that is not healthy yet."""


class Service(Struct, frozen=True):
    """One process: its shell command, its health and its restarts.

    `probe` says whether it is healthy. `restarts` says whether it may be started again when it dies or is stuck, which
    is safe for a process that recovers its state. `checkup` detects that it is stuck. `environ` is laid over what all
    have.
    """

    name: str
    command: str
    probe: Probe
    restarts: bool = False
    checkup: Checkup | None = None
    environ: Mapping[str, str] = {}


class ServiceDiedError(Exception):
    """A service ended, or never became healthy. The message has its last lines, which say why."""

    def __init__(self, name: str, what: str, lines: tuple[str, ...], log: Path) -> None:
        tail = "".join(f"\n  {line}" for line in lines) or " nothing at all"
        super().__init__(f"{name} {what}. Its last lines were:{tail}\nAll of them are in {log}")
        self.name = name


class StopError(Exception):
    """A signal asks for the end, or the parent process is gone."""


class _RunState:
    """A service and its process, if it runs now."""

    def __init__(self, service: Service, log: Path, restarts: RestartPolicy) -> None:
        self.service = service
        self.path = log
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.process: subprocess.Popen[bytes] | None = None
        self.reader: threading.Thread | None = None
        self.checkups: CheckupThread | None = None
        self.launch = 0
        self.started_at = 0.0
        self.start_at: float | None = None
        self.kill_at: float | None = None
        self.was_healthy = False
        self.ailment = ""
        self.restarts = restarts
        self.vitals = Vitals()
        self.news = HealthNews(service.name)
        self.report: ProgressReport | None = None


class Supervisor:
    """Context manager over the processes: all of them end when the context is left, also by an exception.

    `echo` shows a line to the user; `printer`, if given, shows every line that a process writes. The lines of a process
    are also appended to `logs/NAME.log`. `restarts` makes the restart policy of each service, `vitals` the liveness
    rule of each process. Checkups are `period_s` seconds apart. SIGINT, SIGTERM, SIGHUP and the death of the parent
    process raise StopError from `wait` and `watch`.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        logs: Path,
        echo: Callable[[str], None],
        printer: Printer | None = None,
        clock: Callable[[], float] = time.monotonic,
        restarts: Callable[[], RestartPolicy] = RestartPolicy,
        vitals: Callable[[], Vitals] = Vitals,
        period_s: float = PERIOD_S,
    ) -> None:
        self._environ = dict(environ)
        self._logs = logs
        self._echo = echo
        self._files = ServiceLogs(logs, self._say, clock)
        self._printer = printer
        self._clock = clock
        self._restarts = restarts
        self._vitals = vitals
        self._period_s = period_s
        self._running: dict[str, _RunState] = {}
        self._lines: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._results: queue.Queue[CheckupResult] = queue.Queue()
        self._signal: int | None = None
        self._parent = os.getppid()

    def __enter__(self) -> Self:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        # With nohup this process outlives its terminal and the shell that started it.
        self._detached = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        numbers = [signal.SIGINT, signal.SIGTERM, *([] if self._detached else [signal.SIGHUP])]
        self._before = {number: signal.signal(number, self._on_signal) for number in numbers}
        self._reaper = subprocess.Popen(  # noqa: S603 - this interpreter, and a module of this package
            [sys.executable, "-m", reaper.__name__], stdin=subprocess.PIPE, start_new_session=True, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._signal = None
        self._end()
        assert self._reaper.stdin is not None
        with suppress(BrokenPipeError):
            self._reaper.stdin.close()
        self._reaper.wait()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, service: Service) -> None:
        """Start the service and its checkups; doesn't wait for its health."""
        running = self._running[service.name] = _RunState(service, self._files.path(service.name), self._restarts())
        self._launch(running)
        if service.checkup is not None:
            running.checkups = CheckupThread(
                service.name, service.checkup, lambda: running.launch, self._results, self._period_s
            )

    def wait(self, name: str, patience: float, probe: Probe | None = None) -> float:
        """Wait until the service is healthy, or is only behind; return the seconds since its start.

        `probe` replaces the service's own. `patience` is in seconds. Raises ServiceDiedError for this or any other
        service, and StopError.
        """
        running = self._running[name]
        healthy = probe or running.service.probe
        began = shown_at = self._clock()
        while True:
            self._step()
            missing = healthy()
            now = self._clock()
            if not missing or self.catches_up(name) is not None:
                running.was_healthy = True
                return now - running.started_at
            if running.report is not None and gets_ready(running.report):
                began = now
            if now - max(began, running.started_at) > patience:
                raise self._died(running, f"was not healthy within {patience:g} s ({missing})")
            if now - shown_at >= WAITS_SHOWN_S:
                shown_at = now
                self._say(f"{name} waits: {missing}")

    def catches_up(self, name: str) -> ProgressReport | None:
        """The service's last report if it says that the service is only behind; else None."""
        report = self._running[name].report
        return report if report is not None and catching_up(report) else None

    def watch(self) -> None:
        """Supervise without end. Raises ServiceDiedError when a service is given up, and StopError."""
        for running in self._running.values():
            running.was_healthy = True
        while True:
            self._step(WATCH_STEP)

    def _on_signal(self, number: int, frame: object) -> None:
        self._signal = number

    def _launch(self, running: _RunState) -> None:
        process: subprocess.Popen[bytes] = Popen(
            f"{BEGINS}{running.service.command}",
            env={**self._environ, **running.service.environ},
            stdin=subprocess.PIPE,
        )
        self._tell_reaper(f"+{process.pid}")
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as go_ahead:
            go_ahead.write(b"\n")
        running.process, running.started_at, running.start_at = process, self._clock(), None
        running.launch += 1
        running.ailment = ""
        running.vitals, running.report, running.kill_at = self._vitals(), None, None
        running.news.started()
        running.reader = threading.Thread(target=self._read, args=(running.service.name, process), daemon=True)
        running.reader.start()

    def _read(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self._lines.put((name, line))

    def _step(self, patience: float = STEP) -> None:
        """Handle once what has happened: signals, output, checkups, ended processes and due restarts."""
        if self._signal is not None:
            raise StopError(signal.Signals(self._signal).name)
        if not self._detached and os.getppid() != self._parent:
            raise StopError("the process that started this one is gone")
        self._drain(patience)
        self._files.check()
        self._examine()
        for running in self._running.values():
            if running.process is not None and running.process.poll() is not None:
                self._ended(running)
            if running.kill_at is not None and self._clock() >= running.kill_at:
                running.kill_at = None
                self._signal_group(running, signal.SIGKILL)
            if running.start_at is not None and self._clock() >= running.start_at:
                self._launch(running)

    def _examine(self) -> None:
        """Process the results of checkups. A process that hangs or is stuck is ended, and restarted after that."""
        while True:
            try:
                result = self._results.get_nowait()
            except queue.Empty:
                return
            running = self._running[result.name]
            if result.launch != running.launch or running.process is None or running.ailment:
                continue
            if not result.answered:
                running.vitals.unanswered(self._clock())
            else:
                running.report = result.report
                running.vitals.answered(result.report, self._clock())
                if result.report is not None:
                    for line in running.news.lines(result.report, self._clock()):
                        self._say(line)
            running.ailment = running.vitals.ailment()
            if running.ailment:
                self._say(f"{result.name} {running.ailment}. It is ended, to be started again")
                self._signal_group(running, signal.SIGTERM)
                running.kill_at = self._clock() + DRAIN

    def _ended(self, running: _RunState) -> None:
        assert running.process is not None
        code = running.process.returncode
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._bury(running)
        ailing, running.kill_at = bool(running.ailment), None
        pause: float | None = None
        # A process that fails at its first start has a wrong setting, which a restart doesn't mend.
        if running.service.restarts and (running.was_healthy or ailing or code in UNCOUNTED):
            pause = running.restarts.after(code, self._clock() - running.started_at, ailing)
        if pause is None:
            raise self._died(running, how)
        running.start_at = self._clock() + pause
        # The last line of a killed process doesn't say why it ended.
        last = f': "{running.tail[-1]}"' if running.tail and code >= 0 else ""
        self._say(f"{running.service.name} {how}{last}. Started again in {pause:g} s; its lines are in {running.path}")

    def _bury(self, running: _RunState) -> None:
        """Kill what is left of an ended process's group, and forget the process."""
        assert running.process is not None
        assert running.reader is not None
        reaper.end([running.process.pid], grace=0)
        self._tell_reaper(f"-{running.process.pid}")
        # The timeout is for a child that left the group and still holds the pipe.
        running.reader.join(timeout=1)
        running.process = None
        self._drain(0)

    def _died(self, running: _RunState, what: str) -> ServiceDiedError:
        return ServiceDiedError(running.service.name, what, tuple(running.tail), running.path)

    def _drain(self, patience: float) -> None:
        try:
            name, line = self._lines.get(timeout=patience) if patience else self._lines.get_nowait()
            while True:
                self._written(self._running[name], line.decode(errors="replace").rstrip())
                name, line = self._lines.get_nowait()
        except queue.Empty:
            return

    def _written(self, running: _RunState, line: str) -> None:
        running.tail.append(line)
        self._files.write(running.service.name, line)
        if self._printer is None:
            return
        try:
            self._printer.write(Message("line", line, datetime.now(), running.service.name, None))  # noqa: DTZ005 - local time, for the terminal
        except OSError:
            self._printer = None

    def _end(self) -> None:
        """End every process, the last started first, so that each still reaches the services it needs to end cleanly.

        If the first, which all need, is gone, all end at once. A second signal kills what is left.
        """
        alive = [running for running in reversed(self._running.values()) if running.process is not None]
        for running in self._running.values():
            if running.checkups is not None:
                running.checkups.close()
        first = next(iter(self._running.values()), None)
        # It may have ended since the last step.
        together = first is not None and (first.process is None or first.process.poll() is not None)
        if together:
            for running in alive:
                self._signal_group(running, signal.SIGTERM)
        deadline = self._clock() + DRAIN
        for running in alive:
            if not together:
                self._signal_group(running, signal.SIGTERM)
                deadline = self._clock() + GRACE
            assert running.process is not None
            while running.process.poll() is None and self._clock() < deadline and self._signal is None:
                self._drain(STEP)
            if running.process.poll() is None:
                self._say(f"{running.service.name} did not end by itself and is killed")
                self._signal_group(running, signal.SIGKILL)
                running.process.wait()
            self._bury(running)
        self._files.close()

    def _signal_group(self, running: _RunState, number: signal.Signals) -> None:
        assert running.process is not None
        with suppress(ProcessLookupError):
            os.killpg(running.process.pid, number)

    def _tell_reaper(self, line: str) -> None:
        assert self._reaper.stdin is not None
        # The supervisor works without its reaper, which is only needed if this process is killed.
        with suppress(BrokenPipeError):
            print(line, file=self._reaper.stdin, flush=True)

    def _say(self, line: str) -> None:
        # The terminal may be gone, and the processes must still be ended.
        with suppress(OSError):
            self._echo(line)
