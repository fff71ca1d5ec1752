"""`songline up` as an audit runs it: on ports and in a folder of its own, without simulated listeners."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from songline.api.limit_settings import OFF, REQUESTS, SERVICE_REQUESTS
from songline.processes.environment import API, DATA, WORKERS, load
from songline.processes.ports import HOST, reserved

START_S = 300.0
END_S = 60.0
POLL_S = 0.1

AZURITE = "azurite"
MARKS = {
    "-m\0localcloud\0": "localcloud",
    "\0songline.processors.trending\0": "trending",
    "\0songline.processors.catalog\0": "catalog",
    "\0songline.processors.library\0": "library",
    "\0songline.processors.ingestion\0": "ingestion",
    "\0songline.api\0": "api",
    "\0songline\0up\0": "up",
    "serve.js\0": AZURITE,
}
"""What the command line of each process of `songline up` has, and what the process is called."""


class SystemStartError(Exception):
    """The system did not start. The message has what it said last."""


class AuditedSystem:
    """The processes of one `songline up`. `folder` is for its data and for what it says; each of `ports` gets a free
    one, which is kept until `close`; `flags` are what it is started with besides. `environment` has the settings of the
    system once it has started."""

    def __init__(self, folder: Path, ports: Iterable[str], flags: Sequence[str] = ()) -> None:
        self.data = folder / "data"
        self.log = folder / "up.log"
        self._held = ExitStack()
        self._ports = self._held.enter_context(reserved(dict.fromkeys(ports, 0)))
        self._flags = flags
        # An audit is about loss, and its senders are few: the limit of a caller would only slow it down.
        self._environ = {**os.environ, DATA: str(self.data), REQUESTS: OFF, SERVICE_REQUESTS: OFF}
        self._up: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def control(self) -> str:
        """The address of localcloud's control endpoint."""
        return f"http://{HOST}:{self._ports['--control-port']}"

    def health_urls(self) -> dict[str, str]:
        """Where each process says whether it is ready."""
        names = {**WORKERS, "api": API}
        return {name: f"http://{HOST}:{self._ports['--port' if name == 'api' else f'--{name}-port']}" for name in names}

    def start(self) -> None:
        """Start `songline up` and return once it says that it is up. Raises SystemStartError."""
        self.launch()
        deadline = time.monotonic() + START_S
        while not self.is_up():
            if time.monotonic() > deadline or not self.is_running():
                raise SystemStartError(f"`songline up` did not start. It said last:\n{self.said()[-2_000:]}")
            time.sleep(POLL_S)
        # The environment may name another system, and a token for that.
        self.environment = load({DATA: str(self.data)})

    def restart(self) -> None:
        """End what is left, and start again. Raises SystemStartError."""
        self.end()
        self.start()

    def launch(self) -> None:
        """Start `songline up` without waiting for anything. Raises SystemStartError after `close`."""
        ports = [f"{option}={port}" for option, port in self._ports.items()]
        started = [sys.executable, "-m", "songline", "up"]
        command = [*started, "--data", str(self.data), "--no-simulator", *ports, *self._flags]
        with self._lock, self.log.open("wb") as log:
            if self._is_closed:
                raise SystemStartError("the audit ends: nothing is started any more")
            # A Ctrl-C in the terminal is for the audit, which ends this process itself.
            self._up = subprocess.Popen(  # noqa: S603 - this interpreter, and this package
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environ, start_new_session=True
            )

    def is_up(self) -> bool:
        return "Songline is up" in self.said()

    def is_running(self) -> bool:
        return self._up is not None and self._up.poll() is None

    def said(self) -> str:
        """What the last `songline up` has said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def processes(self) -> dict[str, int]:
        """The id of each process by its name. Linux only."""
        found = {}
        for pid, command in commands_of(self.data):
            name = next((name for text, name in MARKS.items() if text in command), None)
            if name is not None and not command.startswith(("sh\0", "/bin/sh\0")):
                found[name] = pid
        return found

    def signal(self, name: str, number: signal.Signals) -> int | None:
        """Send a signal to the process of this name; its id, None where there is none now."""
        pid = self.processes().get(name)
        if pid is None:
            return None
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return pid
        return None

    def close(self) -> None:
        """End everything for good: another thread that is about to start it is too late."""
        with self._lock:
            self._is_closed = True
        self.end()
        self._held.close()

    def end(self) -> None:
        """End everything. A process that was stopped is continued, and one that doesn't end is killed."""
        for name in self.processes():
            self.signal(name, signal.SIGCONT)
        if self._up is not None and self._up.poll() is None:
            self._up.send_signal(signal.SIGINT)
            try:
                self._up.wait(END_S)
            except subprocess.TimeoutExpired:
                self._up.kill()
                self._up.wait()
        deadline = time.monotonic() + END_S / 2
        # The reaper ends what a killed `songline up` leaves behind.
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for name in left:
            self.signal(name, signal.SIGKILL)


def commands_of(data: Path) -> Iterator[tuple[int, str]]:
    """Id and command line (words that end in NUL) of each other process whose system is on the data folder. Linux
    only."""
    mark = f"{DATA}={data}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(folder.name) != os.getpid() and mark in (folder / "environ").read_bytes() + b"\0":
                yield int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace")
