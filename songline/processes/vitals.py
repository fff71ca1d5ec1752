"""Liveness checks of running processes: a thread polls, and a pure rule decides whether a process is stuck."""

import queue
import threading
from collections.abc import Callable
from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import httpx
from msgspec import Struct

from songline.processors.runtime.progress import unexplained_stall
from songline.schemas.errors import PoisonError
from songline.schemas.progress_report import ProgressReport, decode

PERIOD_S = 2.0
PATIENCE_S = 3.0
HUNG_S = 30.0
"""Seconds without an answer after which a process that has answered before counts as hung."""
STUCK_S = 180.0
"""Seconds for which a worker may report an unexplained stall of a partition; it reports one after half a minute. A
write of its whole state to a slow store may take that long."""

Checkup = Callable[[], ProgressReport | None]
"""Requests a process's health: returns its report, or None if it answers without one. Raises UnansweredError."""


class UnansweredError(Exception):
    """A process did not answer a checkup. A later checkup may succeed, or the process hangs."""


class Vitals:
    """The results of one process's checkups since its start.

    Times are seconds of a monotonic clock at the checkups. A time without checkups has no effect.
    """

    def __init__(self, hung_s: float = HUNG_S, stuck_s: float = STUCK_S) -> None:
        self._hung_s = hung_s
        self._stuck_s = stuck_s
        self._answered = False
        self._silent: tuple[float, float] | None = None
        self._stalled: tuple[float, float] | None = None
        self._stall = ""

    def answered(self, report: ProgressReport | None, now_s: float) -> None:
        """Record an answer, with its report if it has one."""
        self._answered, self._silent = True, None
        stall = None if report is None else unexplained_stall(report)
        if stall is None:
            self._stalled = None
        else:
            self._stalled = (self._stalled[0] if self._stalled else now_s, now_s)
            self._stall = stall.sentence

    def unanswered(self, now_s: float) -> None:
        """Record a checkup without an answer. Before the first answer the process is starting, and none counts."""
        if self._answered:
            self._silent = (self._silent[0] if self._silent else now_s, now_s)

    def ailment(self) -> str:
        """Why the process must be restarted, as a predicate; empty if it need not be."""
        if self._silent is not None and self._silent[1] - self._silent[0] >= self._hung_s:
            return f"has not answered for {self._silent[1] - self._silent[0]:.0f} s"
        if self._stalled is not None and self._stalled[1] - self._stalled[0] >= self._stuck_s:
            return f"is stuck: {self._stall}"
        return ""


class CheckupResult(Struct, frozen=True):
    """The result of a checkup. `launch` is the number of the service's start that it belongs to."""

    name: str
    launch: int
    answered: bool
    report: ProgressReport | None = None


class CheckupThread:
    """A thread that checks one service every `period_s` seconds until `close`, and puts results into `results`."""

    def __init__(
        self,
        name: str,
        checkup: Checkup,
        launch: Callable[[], int],
        results: "queue.Queue[CheckupResult]",
        period_s: float,
    ) -> None:
        self._name, self._checkup, self._launch, self._results = name, checkup, launch, results
        self._period_s = period_s
        self._closed = threading.Event()
        threading.Thread(target=self._run, name=f"vitals of {name}", daemon=True).start()

    def close(self) -> None:
        """Stop after the checkup that runs."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._period_s):
            launch = self._launch()
            try:
                result = CheckupResult(self._name, launch, True, self._checkup())
            except UnansweredError:
                result = CheckupResult(self._name, launch, False)
            self._results.put(result)


def http_client(patience_s: float) -> httpx.Client:
    """A client for processes of this machine, over HTTP without TLS; it keeps its connections. `httpx.get` makes a
    client, and reads all trusted authorities, for each request."""
    return httpx.Client(timeout=patience_s, trust_env=False, verify=SSLContext(PROTOCOL_TLS_CLIENT))


def http_checkup(url: str) -> Checkup:
    """A checkup by GET `url`. Any HTTP response counts as an answer; its body may be a report."""
    client = http_client(PATIENCE_S)

    def checkup() -> ProgressReport | None:
        try:
            answer = client.get(url)
        except httpx.HTTPError as error:
            raise UnansweredError(f"{url}: {type(error).__name__} {error}") from error
        return report_in(answer)

    return checkup


def report_in(answer: httpx.Response) -> ProgressReport | None:
    """The report in the body of a response; None if it has none."""
    if answer.status_code != 200:
        return None
    try:
        return decode(answer.content)
    except PoisonError:
        return None
