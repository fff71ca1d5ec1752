"""A worker as a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self


class WorkerProcess:
    """`python -m MODULE` with this environment; what it says goes to the end of `log`."""

    def __init__(self, module: str, environment: Mapping[str, str], log: Path) -> None:
        self._module = module
        self._environment = dict(environment)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module], env=self._environment, stdout=log, stderr=log
            )
        return self

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when that is of no use; the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self, deadline: float = 60.0) -> int:
        """The exit code, once the process has ended by itself; raises when it does not do so in time."""
        process = self._process
        assert process is not None
        code = process.wait(deadline)
        self._process = None
        return code

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ended(self) -> int:
        """The exit code of a process that has ended by itself."""
        assert self._process is not None
        return self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
