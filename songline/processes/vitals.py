"""Whether a process that runs is to be ended for being stuck: asked by a thread, decided by a rule over the answers."""

import queue
import threading
from collections.abc import Callable

import httpx
from msgspec import Struct

from songline.processors.runtime.progress import unexplained_stall
from songline.schemas.errors import PoisonError
from songline.schemas.progress_report import ProgressReport, decode

PERIOD_S = 2.0
PATIENCE_S = 3.0
HUNG_S = 30.0
"""After so many seconds without an answer, from a process that has answered before, it hangs."""
STUCK_S = 180.0
"""For so many seconds a worker may say that a partition stands still for no reason; it says so after half a minute. A
write of all that it holds may take as long where the store is slow."""

Checkup = Callable[[], ProgressReport | None]
"""Asks a process how it is: its report, None where it answers and has none. Raises UnansweredError."""


class UnansweredError(Exception):
    """A process did not answer. Asking again may do; it may also hang."""


class Vitals:
    """What is known of one process since its start. Seconds are of a steady clock, and of the checkups only: however
    long nobody asked, nothing is concluded from that."""

    def __init__(self, hung_s: float = HUNG_S, stuck_s: float = STUCK_S) -> None:
        self._hung_s = hung_s
        self._stuck_s = stuck_s
        self._answered = False
        self._silent: tuple[float, float] | None = None
        self._stalled: tuple[float, float] | None = None
        self._stall = ""

    def answered(self, report: ProgressReport | None, now_s: float) -> None:
        self._answered, self._silent = True, None
        stall = None if report is None else unexplained_stall(report)
        if stall is None:
            self._stalled = None
        else:
            self._stalled = (self._stalled[0] if self._stalled else now_s, now_s)
            self._stall = stall.sentence

    def unanswered(self, now_s: float) -> None:
        if self._answered:
            self._silent = (self._silent[0] if self._silent else now_s, now_s)

    def ailment(self) -> str:
        """Why the process is to be ended and started again; empty when it is not."""
        if self._silent is not None and self._silent[1] - self._silent[0] >= self._hung_s:
            return f"has not answered for {self._silent[1] - self._silent[0]:.0f} s"
        if self._stalled is not None and self._stalled[1] - self._stalled[0] >= self._stuck_s:
            return f"is stuck: {self._stall}"
        return ""


class CheckupResult(Struct, frozen=True):
    """What came of a checkup. `launch`: which start of the service it is of."""

    name: str
    launch: int
    answered: bool
    report: ProgressReport | None = None


class CheckupThread:
    """Asks one service every few seconds, in a thread of its own, until `close`; answers go to `answers`."""

    def __init__(
        self,
        name: str,
        checkup: Checkup,
        launch: Callable[[], int],
        answers: "queue.Queue[CheckupResult]",
        period_s: float,
    ) -> None:
        self._name, self._checkup, self._launch, self._answers = name, checkup, launch, answers
        self._period_s = period_s
        self._closed = threading.Event()
        threading.Thread(target=self._run, name=f"vitals of {name}", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._period_s):
            launch = self._launch()
            try:
                answer = CheckupResult(self._name, launch, True, self._checkup())
            except UnansweredError:
                answer = CheckupResult(self._name, launch, False)
            self._answers.put(answer)


def http_checkup(url: str) -> Checkup:
    """A checkup over HTTP: any answer is one, and a report where the body is a report."""

    def checkup() -> ProgressReport | None:
        try:
            answer = httpx.get(url, timeout=PATIENCE_S, trust_env=False)
        except httpx.HTTPError as error:
            raise UnansweredError(f"{url}: {type(error).__name__} {error}") from error
        return report_in(answer)

    return checkup


def report_in(answer: httpx.Response) -> ProgressReport | None:
    """The report that an answer carries; None where it carries none."""
    if answer.status_code != 200:
        return None
    try:
        return decode(answer.content)
    except PoisonError:
        return None
