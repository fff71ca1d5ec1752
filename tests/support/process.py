"""A worker as a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from songline.processors.runtime.process import CRASHED_IN_FOLD, VERSION_CHANGED
from tests.support import watched

STARTS_AGAIN = {CRASHED_IN_FOLD, VERSION_CHANGED}
"""Exit codes by which a worker asks to be started again."""


class WorkerProcess:
    """`python -m MODULE` with this environment; what it says goes to the end of `log`."""

    def __init__(self, module: str, environment: Mapping[str, str], log: Path) -> None:
        self._module = module
        self._environment = dict(environment)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._is_looked_after = False

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module], env=self._environment, stdout=log, stderr=log
            )
        watched.begin(self)
        return self

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when that is of no use; the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self, deadline: float = 60.0) -> int:
        """The exit code, once the process has ended by itself; raises when it does not do so in time."""
        self._is_looked_after = True
        process = self._process
        assert process is not None
        code = process.wait(deadline)
        self._process = None
        watched.end(self)
        return code

    @property
    def running(self) -> bool:
        self._is_looked_after = True
        return self._process is not None and self._process.poll() is None

    def ended(self) -> int:
        """The exit code of a process that has ended by itself."""
        assert self._process is not None
        return self._process.wait()

    @property
    def has_failed(self) -> bool:
        """Whether it has ended by itself, with a code that asks for no new start, and no test looks after that."""
        code = None if self._process is None or self._is_looked_after else self._process.poll()
        return code is not None and code not in STARTS_AGAIN

    @property
    def pid(self) -> int:
        self._is_looked_after = True  # it may be killed by its number
        assert self._process is not None
        return self._process.pid

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        watched.end(self)
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
