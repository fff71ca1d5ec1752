"""Runs processes side by side: started in order, each healthy before what needs it, and ended together.

The commands are lines of a Procfile; honcho parses it, runs a line in a process group of its own and prints its output.
honcho's own manager starts everything at once and ends everything with the first that ends, so the order, the health
and the restarts are here.
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

from songline.processes import reaper as guard
from songline.processes.health_news import HealthNews, catching_up, gets_ready
from songline.processes.restarts import UNCOUNTED, RestartPolicy
from songline.processes.service_logs import ServiceLogs
from songline.processes.vitals import PERIOD_S, Checkup, CheckupResult, CheckupThread, Vitals
from songline.schemas.progress_report import ProgressReport

Probe = Callable[[], str]
"""What a service still waits for; empty when it is healthy."""

STEP = 0.05
GRACE = 10.0
DRAIN = 5.0
"""Seconds that a process has to end by itself which is stuck, or can't end well without what is gone."""
TAIL = 20
WAITS_TOLD = 15.0
"""Seconds between two lines about what a service waits for that is not healthy yet."""


class Service(Struct, frozen=True):
    """One process: its shell command, how to tell that it is healthy, and whether it may be started again when it
    dies or is stuck (which is harmless for what keeps nothing, or finds all of it again). `checkup` asks whether it
    is."""

    name: str
    command: str
    probe: Probe
    restarts: bool = False
    checkup: Checkup | None = None


class ServiceDiedError(Exception):
    """A service ended, or never became healthy. Its last lines say why; the operator looks there."""

    def __init__(self, name: str, what: str, lines: tuple[str, ...], log: Path) -> None:
        said = "".join(f"\n  {line}" for line in lines) or " nothing at all"
        super().__init__(f"{name} {what}. Its last lines were:{said}\nAll of them are in {log}")
        self.name = name


class StopError(Exception):
    """The operator, or whoever started us, wants an end."""


class _RunState:
    """A service with its process, if it has one now."""

    def __init__(self, service: Service, log: Path, restarts: RestartPolicy) -> None:
        self.service = service
        self.path = log
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.process: subprocess.Popen[bytes] | None = None
        self.reader: threading.Thread | None = None
        self.nurse: CheckupThread | None = None
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
    """Context manager over the processes: whatever leaves it, every one of them ends.

    `tell` gets a line for whoever watches; `printer`, if given, every line that a process writes. Each process also
    writes to `logs/NAME.log`. `restarts` makes the rule of each service, `vitals` that of each process, and checkups
    are `period_s` seconds apart. Signals for an end, and the death of our own parent, raise StopError out of `wait` and
    `watch`.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        logs: Path,
        tell: Callable[[str], None],
        printer: Printer | None = None,
        clock: Callable[[], float] = time.monotonic,
        restarts: Callable[[], RestartPolicy] = RestartPolicy,
        vitals: Callable[[], Vitals] = Vitals,
        period_s: float = PERIOD_S,
    ) -> None:
        self._environ = dict(environ)
        self._logs = logs
        self._tell = tell
        self._files = ServiceLogs(logs, self._say, clock)
        self._printer = printer
        self._clock = clock
        self._restarts = restarts
        self._vitals = vitals
        self._period_s = period_s
        self._running: dict[str, _RunState] = {}
        self._lines: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._answers: queue.Queue[CheckupResult] = queue.Queue()
        self._signal: int | None = None
        self._parent = os.getppid()

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        # With nohup the end of a terminal, or of the shell that started us, is nothing to us.
        self._detached = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        numbers = [signal.SIGINT, signal.SIGTERM, *([] if self._detached else [signal.SIGHUP])]
        self._before = {number: signal.signal(number, self._on_signal) for number in numbers}
        self._guard = subprocess.Popen(  # noqa: S603 - this very interpreter, and a module of ours
            [sys.executable, "-m", guard.__name__], stdin=subprocess.PIPE, start_new_session=True, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._signal = None
        self._end()
        assert self._guard.stdin is not None
        with suppress(BrokenPipeError):
            self._guard.stdin.close()
        self._guard.wait()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, service: Service) -> None:
        running = self._running[service.name] = _RunState(service, self._files.path(service.name), self._restarts())
        self._launch(running)
        if service.checkup is not None:
            running.nurse = CheckupThread(
                service.name, service.checkup, lambda: running.launch, self._answers, self._period_s
            )

    def wait(self, name: str, patience: float, probe: Probe | None = None) -> float:
        """Until the service is healthy, by another `probe` than its own if one is given, or does all that it can and
        is merely behind: the seconds since its start. Raises ServiceDiedError, for any service, and StopError."""
        running = self._running[name]
        healthy = probe or running.service.probe
        began = told_at = self._clock()
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
            if now - told_at >= WAITS_TOLD:
                told_at = now
                self._say(f"{name} waits: {missing}")

    def catches_up(self, name: str) -> ProgressReport | None:
        """The service's last report, if by that it is merely behind."""
        report = self._running[name].report
        return report if report is not None and catching_up(report) else None

    def watch(self) -> None:
        """Until a service dies for good (raises ServiceDiedError) or an end is wanted (raises StopError)."""
        for running in self._running.values():
            running.was_healthy = True
        while True:
            self._step()

    def _on_signal(self, number: int, frame: object) -> None:
        self._signal = number

    def _launch(self, running: _RunState) -> None:
        process: subprocess.Popen[bytes] = Popen(running.service.command, env=self._environ, stdin=subprocess.DEVNULL)
        self._tell_guard(f"+{process.pid}")
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

    def _step(self) -> None:
        """One turn: what was written, who has ended or is stuck, who is to be started again."""
        if self._signal is not None:
            raise StopError(signal.Signals(self._signal).name)
        if not self._detached and os.getppid() != self._parent:
            raise StopError("the process that started this one is gone")
        self._drain(STEP)
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
        """Take in what checkups found; what hangs or is stuck is ended, and started again as what has died."""
        while True:
            try:
                answer = self._answers.get_nowait()
            except queue.Empty:
                return
            running = self._running[answer.name]
            if answer.launch != running.launch or running.process is None or running.ailment:
                continue
            if not answer.answered:
                running.vitals.unanswered(self._clock())
            else:
                running.report = answer.report
                running.vitals.answered(answer.report, self._clock())
                if answer.report is not None:
                    for line in running.news.lines(answer.report, self._clock()):
                        self._say(line)
            running.ailment = running.vitals.ailment()
            if running.ailment:
                self._say(f"{answer.name} {running.ailment}. It is ended, to be started again")
                self._signal_group(running, signal.SIGTERM)
                running.kill_at = self._clock() + DRAIN

    def _ended(self, running: _RunState) -> None:
        assert running.process is not None
        code = running.process.returncode
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._bury(running)
        ailing, running.kill_at = bool(running.ailment), None
        pause: float | None = None
        # What fails at its first start has a wrong setting, which no restart mends.
        if running.service.restarts and (running.was_healthy or ailing or code in UNCOUNTED):
            pause = running.restarts.after(code, self._clock() - running.started_at, ailing)
        if pause is None:
            raise self._died(running, how)
        running.start_at = self._clock() + pause
        # What was killed says nothing of it.
        last = f': "{running.tail[-1]}"' if running.tail and code >= 0 else ""
        self._say(f"{running.service.name} {how}{last}. Started again in {pause:g} s; its lines are in {running.path}")

    def _bury(self, running: _RunState) -> None:
        """Forget an ended process, together with what is left of its group."""
        assert running.process is not None
        assert running.reader is not None
        guard.end([running.process.pid], grace=0)
        self._tell_guard(f"-{running.process.pid}")
        # What left its group and kept the pipe can't hold us up.
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
            self._printer.write(Message("line", line, datetime.now(), running.service.name, None))  # noqa: DTZ005 - shown to whoever sits here
        except OSError:
            self._printer = None

    def _end(self) -> None:
        """End every process, the last started first, so that each still finds what it needs to end well; all at once
        where the first, which they need, is gone. A second signal cuts it short."""
        alive = [running for running in reversed(self._running.values()) if running.process is not None]
        for running in self._running.values():
            if running.nurse is not None:
                running.nurse.close()
        first = next(iter(self._running.values()), None)
        # It may have ended a moment ago, without anybody having looked.
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

    def _tell_guard(self, line: str) -> None:
        assert self._guard.stdin is not None
        # Without its guard it goes on: the guard is for the day on which this process is killed.
        with suppress(BrokenPipeError):
            print(line, file=self._guard.stdin, flush=True)

    def _say(self, line: str) -> None:
        # The terminal may be gone, and the processes have to be ended all the same.
        with suppress(OSError):
            self._tell(line)
