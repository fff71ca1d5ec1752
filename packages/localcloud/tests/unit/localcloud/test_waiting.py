"""A wait asks less often the longer it takes, and knows when a process has ended."""

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from localcloud.testing.waiting import has_ended, pause_s, wait_for


@pytest.mark.parametrize(("waited_s", "expected_s"), [(0, 0.02), (0.1, 0.02), (0.3, 0.06), (0.5, 0.1), (60, 0.1)])
def test_a_pause_grows_with_the_wait_within_bounds(waited_s: float, expected_s: float) -> None:
    assert pause_s(waited_s) == pytest.approx(expected_s)


def test_a_process_has_ended_once_it_is_killed_whether_its_parent_noticed_or_not() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        assert not has_ended(process.pid)
        process.kill()
        # Nobody has waited for it yet.
        wait_for(partial(has_ended, process.pid), "the end")
    assert has_ended(process.pid)


def test_a_process_that_goes_while_it_is_looked_at_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:

        def open_and_end(path: Path, *arguments: Any, **options: Any) -> object:
            file = opened(path, *arguments, **options)
            process.kill()
            process.wait()
            return file

        monkeypatch.setattr(Path, "open", open_and_end)
        assert has_ended(process.pid)
