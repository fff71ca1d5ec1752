"""What waits for a worker fails with the worker, and says what it said last."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from songline.processors.runtime.process import VERSION_CHANGED
from tests.support.process import WorkerProcess
from tests.support.waiting import wait_for, wait_for_async

StartWorker = Callable[[str], WorkerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartWorker]:
    """Starts a worker of one line of Python."""
    workers: list[WorkerProcess] = []

    def run(code: str) -> WorkerProcess:
        (tmp_path / "one_line.py").write_text(code)
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        workers.append(WorkerProcess("one_line", environment, tmp_path / "worker.log"))
        return workers[-1].start()

    yield run
    for worker in workers:
        worker.kill()


async def nothing() -> str:
    return ""


async def test_a_wait_fails_with_the_worker_that_it_waits_for(start: StartWorker) -> None:
    start("raise SystemExit('I am lost')")
    with pytest.raises(AssertionError, match=r"ended by itself(?s:.*)worker\.log \(it has ended\)(?s:.*)I am lost"):
        wait_for(lambda: "", "its work")
    with pytest.raises(AssertionError, match=r"ended by itself(?s:.*)I am lost"):
        await wait_for_async(nothing, "its work")


def test_a_wait_that_is_in_vain_says_what_the_worker_said_last(start: StartWorker) -> None:
    worker = start("import time; print('I do nothing', flush=True); time.sleep(600)")
    wait_for(lambda: worker.said, "its words")
    with pytest.raises(AssertionError, match=r"waited 0\.1 s for its work") as failure:
        wait_for(lambda: "", "its work", 0.1)
    (note,) = failure.value.__notes__
    # Other tests of this process may have processes of their own.
    lines = note.splitlines()
    assert (lines[0], lines[-2:]) == ("while it waited for its work", ["worker.log:", "    I do nothing"])


@pytest.mark.parametrize(
    ("code", "is_looked_after"),
    [(f"raise SystemExit({VERSION_CHANGED})", False), ("import os; os.kill(os.getpid(), 9)", True)],
)
def test_an_end_that_is_expected_fails_no_wait(start: StartWorker, code: str, is_looked_after: bool) -> None:
    worker = start(code)
    process = worker._process
    assert process is not None
    if is_looked_after:
        _ = worker.running
    wait_for(lambda: process.poll() is not None, "its end")
    with pytest.raises(AssertionError, match=r"waited 0\.1 s"):
        wait_for(lambda: "", "its work", 0.1)
