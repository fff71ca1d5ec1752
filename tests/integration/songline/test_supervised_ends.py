"""Processes that run side by side are ended with their supervisor, each in its time."""

import os
from functools import partial
from pathlib import Path

import pytest

from songline.processes import supervise
from songline.processes.supervise import Service, Supervisor
from tests.integration.songline.test_supervise import healthy, pid_in
from tests.support.waiting import has_ended, wait_for


def test_leaving_ends_children_of_children_and_the_deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "GRACE", 0.5)
    told: list[str] = []
    child, deaf = tmp_path / "child", tmp_path / "deaf"
    with Supervisor(os.environ, tmp_path / "logs", told.append) as supervisor:
        supervisor.start(Service("nest", f"sleep 300 & echo $! > {child}; wait", healthy))
        supervisor.start(Service("deaf", f"trap '' TERM; echo $$ > {deaf}; while :; do sleep 0.1; done", healthy))
        pids = [pid_in(child), pid_in(deaf)]
        assert not any(map(has_ended, pids))
    for pid in pids:
        wait_for(partial(has_ended, pid), f"the end of {pid}")
    # On a busy machine the other one may take longer than the grace, too.
    assert "deaf did not end by itself and is killed" in told


def test_without_the_first_all_others_are_ended_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them ends once the other one was told to, too."""
    monkeypatch.setattr(supervise, "GRACE", 0.5)
    monkeypatch.setattr(supervise, "DRAIN", 60.0)
    told: list[str] = []
    first, begun = tmp_path / "first", [tmp_path / "one.begun", tmp_path / "two.begun"]
    with Supervisor(os.environ, tmp_path / "logs", told.append) as supervisor:
        supervisor.start(Service("first", f"echo $$ > {first}", healthy))
        for name, other in (("one", "two"), ("two", "one")):
            meets = f"touch {tmp_path}/{name}; until [ -e {tmp_path}/{other} ]; do sleep 0.05; done; exit"
            waits = f"touch {tmp_path}/{name}.begun; while :; do sleep 0.05; done"
            supervisor.start(Service(name, f"trap '{meets}' TERM; {waits}", healthy))
        wait_for(lambda: all(one.exists() for one in begun), "both to begin")
        wait_for(lambda: has_ended(pid_in(first)), "the end of the first")
    assert told == []


def test_it_goes_on_ending_when_nobody_reads_what_it_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "GRACE", 0.2)

    def broken(line: str) -> None:
        raise BrokenPipeError

    deaf = tmp_path / "deaf"
    with Supervisor(os.environ, tmp_path / "logs", broken) as supervisor:
        supervisor.start(Service("deaf", f"trap '' TERM; echo $$ > {deaf}; while :; do sleep 0.1; done", healthy))
        pid = pid_in(deaf)
    assert has_ended(pid)
