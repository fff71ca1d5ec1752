"""The names under which a process owns partitions, as its successor finds them."""

from pathlib import Path

import pytest

from songline.processors.runtime.owner_file import WORKERS, hold_owner_file, running_machine


class KilledError(Exception):
    """Ends a holder before it has released anything."""


def killed(folder: Path, *owners: str) -> None:
    with pytest.raises(KilledError), hold_owner_file(folder, "library", "here") as file:
        for owner in owners:
            file.record([owner])
        raise KilledError


def test_a_successor_finds_who_was_killed_until_it_has_released_their_partitions(tmp_path: Path) -> None:
    folder = tmp_path / "owners"
    killed(folder, "one", "two", "one")
    killed(folder, "three")
    with hold_owner_file(folder, "library", "here") as file:
        assert file.earlier == {"one", "two", "three"}
        file.record(["four"])
        file.forget_earlier()
        file.record(["four", "five"])
        assert (folder / "library-0.txt").read_text().split() == ["here", "four", "five"]
    with hold_owner_file(folder, "library", "here") as file:
        assert file.earlier == frozenset()


def test_what_was_not_released_is_left_to_the_next_process(tmp_path: Path) -> None:
    killed(tmp_path, "one")
    with hold_owner_file(tmp_path, "library", "here") as file:
        file.record(["two"])
    with hold_owner_file(tmp_path, "library", "here") as file:
        assert file.earlier == {"one"}


def test_a_living_process_keeps_its_file(tmp_path: Path) -> None:
    killed(tmp_path, "one")
    with hold_owner_file(tmp_path, "library", "here") as first:
        first.record(["two"])
        with (
            hold_owner_file(tmp_path, "library", "here") as second,
            hold_owner_file(tmp_path, "catalog", "here") as other,
        ):
            assert (first.earlier, second.earlier, other.earlier) == (frozenset({"one"}), frozenset(), frozenset())
            second.record(["three"])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog-0.txt", "library-0.txt", "library-1.txt"]


def test_a_file_of_another_machine_says_nothing_of_who_is_gone(tmp_path: Path) -> None:
    killed(tmp_path, "one")
    with hold_owner_file(tmp_path, "library", "there") as file:
        assert file.earlier == frozenset()
        file.record(["two"])
    assert running_machine() == running_machine() != ""


def test_a_worker_runs_without_a_file_where_none_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for folder in (None, tmp_path / "file"):
        with hold_owner_file(folder, "library", "here") as file:
            file.record(["one"])
            file.forget_earlier()
            assert file.earlier == frozenset()


def test_more_workers_than_files_run_too(tmp_path: Path) -> None:
    held = [hold_owner_file(tmp_path, "library", "here") for _ in range(WORKERS + 1)]
    files = [one.__enter__() for one in held]
    for file in files:
        file.record(["one"])
    assert len(list(tmp_path.iterdir())) == WORKERS
    for one in held:
        one.__exit__(None, None, None)
