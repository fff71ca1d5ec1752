"""The API as a process, for tests that speak HTTP to it, and tokens for it."""

import os
import re
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx

from songline.api.guard_settings import AUTH
from songline.identity.scopes import OWN_SCOPES
from songline.identity.token_source import token_source
from songline.processes.ports import reserved
from tests.support import watched
from tests.support.http import PLAIN
from tests.support.waiting import wait_for

TIMEOUT_S = 60
LISTENS = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


class ApiProcess:
    """`python -m songline.api` on a free port, which nobody else gets as long as this object is there; `address` is its
    own once it listens."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.environment = dict(environment)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._held = ExitStack()
        # There is no last end: each may be followed by a start.
        weakref.finalize(self, self._held.close)
        self._is_looked_after = False
        self.address = ""
        self._token = ""

    def client(self, timeout: float = TIMEOUT_S, **options: Any) -> httpx.AsyncClient:
        """A client of the API as it listens now, whose token has all scopes."""
        return httpx.AsyncClient(**self._options(timeout, options))

    def blocking_client(self, timeout: float = TIMEOUT_S, **options: Any) -> httpx.Client:
        """The same without asyncio."""
        return httpx.Client(**self._options(timeout, options))

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request that may do everything: none, where the API asks for no tokens."""
        if self.environment.get(AUTH) == "off":
            return {}
        self._token = self._token or token(self.environment)
        return {"Authorization": f"Bearer {self._token}"}

    def _options(self, timeout: float, options: Mapping[str, Any]) -> dict[str, Any]:
        plain = {"verify": PLAIN, "trust_env": False}
        return {"base_url": self.address, "headers": self.headers, "timeout": timeout, **plain, **options}

    def start(self, port: int = 0) -> Self:
        port = port or self._held.enter_context(reserved({"--port": 0}))["--port"]
        with self.log.open("wb") as log:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "songline.api", "--port", str(port)],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        found = wait_for(lambda: LISTENS.search(self.said) or process.poll() is not None, "the API to listen")
        assert isinstance(found, re.Match), self.said
        self.address = found[1]
        watched.begin(self)
        return self

    def kill(self) -> None:
        """SIGKILL."""
        watched.end(self)
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def has_failed(self) -> bool:
        """Whether it has ended by itself, and no test looks after that."""
        return self._process is not None and not self._is_looked_after and self._process.poll() is not None

    @property
    def pid(self) -> int:
        self._is_looked_after = True  # it may be killed by its number
        assert self._process is not None
        return self._process.pid

    @property
    def said(self) -> str:
        return self.log.read_text()

    def memory(self, field: str = "VmHWM") -> int:
        """Bytes that the process holds, or held at most (`VmHWM`, `VmRSS`). Source: proc(5), /proc/PID/status."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
        assert found
        return int(found[1]) * 1024

    def cpu_s(self) -> float:
        """Seconds of CPU that the process has used. Source: proc(5), /proc/PID/stat."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def token(environment: Mapping[str, str], user: str | None = None, scopes: Sequence[str] = ()) -> str:
    """A token of the issuer that `environment` names, for an hour.

    Without `scopes` it has all where it is about no user, else those for what is the user's own.
    """
    scopes = scopes or (() if user is None else OWN_SCOPES)
    return token_source(environment, user=user, scopes=scopes).token()
