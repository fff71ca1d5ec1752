"""When a process that has ended is started again."""

import signal

from songline.processes.restarts import RestartPolicy
from songline.processors.runtime.process import CRASHED_IN_FOLD, VERSION_CHANGED


def test_what_fails_again_and_again_is_given_up() -> None:
    restarts = RestartPolicy((1, 2), steady_s=60)
    assert [restarts.after(1, lived_s=5) for _ in range(3)] == [1, 2, None]


def test_what_lived_long_has_all_its_restarts_again() -> None:
    restarts = RestartPolicy((1, 2), steady_s=60)
    assert [restarts.after(1, lived_s) for lived_s in (5, 5, 60, 5, 5)] == [1, 2, 1, 2, None]


def test_a_noted_crash_a_kill_and_an_ailment_are_not_counted() -> None:
    restarts = RestartPolicy((1, 2), steady_s=60)
    assert restarts.after(1, lived_s=5) == 1
    codes = [CRASHED_IN_FOLD, -signal.SIGKILL, CRASHED_IN_FOLD]
    assert [restarts.after(code, lived_s=5) for code in codes] == [1, 1, 1]
    assert restarts.after(-signal.SIGTERM, lived_s=5, ailing=True) == 1
    assert [restarts.after(1, lived_s=5) for _ in range(2)] == [2, None]


def test_what_is_no_failure_of_a_long_life_is_mended_at_once() -> None:
    restarts = RestartPolicy((1, 2), steady_s=60)
    for code, ailing in ((CRASHED_IN_FOLD, False), (-signal.SIGKILL, False), (-signal.SIGTERM, True)):
        assert [restarts.after(code, lived_s, ailing) for lived_s in (59, 60, 5)] == [1, 0, 1]


def test_what_begins_as_another_version_starts_at_once_however_often() -> None:
    restarts = RestartPolicy((1, 2), steady_s=60)
    assert [restarts.after(VERSION_CHANGED, lived_s=5) for _ in range(9)] == [0.0] * 9
    assert [restarts.after(1, lived_s=5) for _ in range(3)] == [1, 2, None]
