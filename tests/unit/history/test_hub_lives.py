"""Files of a partition fall into the lives of their hub, also where the clock of one of them was wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.history.archive.blob_files import ArchiveFile
from songline.processors.history.archive.file_facts import FileFacts, FileRange
from songline.processors.history.archive.generations import hub_generation, placed_files
from songline.processors.history.archive.name_format import FileName
from tests.support.capture_files import NOON

NOON_MOMENT = datetime.fromtimestamp(NOON, UTC)
HOUR_S = 3_600


def file(first: int, last: int, hour: float, number: int, life: int = 0) -> FileFacts:
    """A file of positions that the hub took within an hour. The first event's body tells its position and life."""
    begin_s = NOON + int(hour * HOUR_S)
    name = FileName(NOON_MOMENT + timedelta(minutes=number), "0", "ns")
    mark = 1 + first * 10 + life
    return FileFacts(ArchiveFile(f"{number}.avro", name, 100, "e"), FileRange(first, last, begin_s, begin_s + 60, mark))


def generations(*files: FileFacts, created_at: datetime | None = None) -> list[tuple[int, int, int]]:
    """The generation, first and last position of each file."""
    found = []
    for one in placed_files(files, created_at):
        assert one.range is not None
        found.append((one.generation, one.range.first, one.range.last))
    return found


WRONG_HOURS = [-1_000, -1.5, -0.5, 1.5, 3.5, 1_000]


@pytest.mark.parametrize("wrong", range(5))
@pytest.mark.parametrize("hours", WRONG_HOURS)
def test_a_file_with_a_wrong_clock_is_of_the_same_life(wrong: int, hours: float) -> None:
    files = [file(100 * at, 100 * at + 99, at + hours * (at == wrong), at) for at in range(5)]
    assert generations(*files) == [(0, 100 * at, 100 * at + 99) for at in range(5)]


@pytest.mark.parametrize("copied", range(1, 4))
@pytest.mark.parametrize("hours", [one for one in WRONG_HOURS if abs(one) > 1])
def test_a_copy_with_a_wrong_clock_is_of_the_same_life_and_stands_behind(copied: int, hours: float) -> None:
    files = [file(100 * at, 100 * at + 99, at, at) for at in range(5)]
    # Its name is before that of the other one.
    files.append(file(100 * copied, 100 * copied + 99, copied + hours, -1))
    placed = placed_files(files)
    assert {one.generation for one in placed} == {0}
    assert [one.first for one in placed] == sorted([*range(0, 500, 100), 100 * copied])
    assert [one.file.path for one in placed][copied] == f"{copied}.avro"


def test_a_copy_of_the_first_file_that_is_later_is_of_the_life_that_goes_on() -> None:
    files = [file(100 * at, 100 * at + 99, at, at) for at in range(5)]
    assert {one[0] for one in generations(*files, file(0, 99, 2.5, 9))} == {0}


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("known", [1, 5])
def test_a_copy_of_the_first_file_behind_all_others_is_of_the_life_of_a_hub_that_is_there_since_then(
    known: int, copies: int
) -> None:
    """What was sent again to a hub that was made anew looks the same: only when the hub was created tells."""
    files = [file(100 * at, 100 * at + 99, at, at) for at in range(known)]
    files += [file(0, 99, 20 + number, 20 + number) for number in range(copies)]
    before, between = NOON_MOMENT - timedelta(minutes=1), NOON_MOMENT + timedelta(hours=19)
    assert {one[0] for one in generations(*files, created_at=before)} == {0}
    assert [one[0] for one in generations(*files, created_at=between)][known] == 1
    assert [one[0] for one in generations(*files)][known] == 1


def test_other_events_of_the_same_positions_are_a_generation_whenever_the_hub_was_created() -> None:
    """A hub that was put back from a backup gives positions twice."""
    files = [file(100 * at, 100 * at + 99, at, at) for at in range(3)]
    for other in (file(0, 99, 20, 20, 1), file(0, 90, 20, 20), file(150, 280, 20, 20, 1)):
        assert [one[0] for one in generations(*files, other, created_at=NOON_MOMENT)] == [0] * 3 + [1]


@pytest.mark.parametrize("shift", [0.5, 1, 2, 30])
def test_all_files_of_a_writer_whose_clock_is_ahead_are_of_the_same_life(shift: float) -> None:
    files = [file(100 * at, 100 * at + 99, at + shift * (at % 3 == 1), at) for at in range(12)]
    assert {one[0] for one in generations(*files)} == {0}


@given(
    lives=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=5), min_size=1, max_size=4),
    data=st.data(),
)
def test_each_life_of_a_hub_that_is_made_anew_is_a_generation(lives: list[list[int]], data: st.DataObject) -> None:
    files, wanted, number = [], [], 0
    for life, sizes in enumerate(lives):
        position = 0
        for size in sizes:
            # A life that is as long as the one before can't be told from a file that fills what is missing.
            files.append(file(position, position + size - 1, number, number, life))
            wanted.append((life, position, position + size - 1))
            position += size
            number += 1
    assert generations(*data.draw(st.permutations(files))) == wanted


def test_a_life_of_which_the_beginning_is_lost_is_a_generation() -> None:
    files = [file(100 * at, 100 * at + 99, at, at) for at in range(5)]
    later = [file(130, 199, 10, 10, 1), file(200, 260, 11, 11, 1)]
    assert [one[0] for one in generations(*files, *later)] == [0] * 5 + [1] * 2


def test_a_file_with_a_wrong_clock_does_not_say_that_the_hub_was_made_anew() -> None:
    for wrong in range(4):
        files = [file(100 * at, 100 * at + 99, at - 500 * (at == wrong), at) for at in range(4)]
        assert hub_generation(placed_files(files), NOON_MOMENT, 400) == 0
    made_anew = NOON_MOMENT + timedelta(hours=10)
    assert hub_generation(placed_files([file(0, 99, 1, 0), file(100, 199, 2, 1)]), made_anew, 0) == 1


def test_what_was_sent_again_to_a_hub_that_was_made_anew_is_a_generation() -> None:
    """Its files may have the same positions and the same events."""
    files = [file(100 * at, 100 * at + 99, at, at) for at in range(5)]
    again = [file(100 * at, 100 * at + 99, 10 + at, 10 + at) for at in range(5)]
    assert [one[0] for one in generations(*files, *again)] == [0] * 5 + [1] * 5


def test_a_file_of_positions_that_the_hub_had_not_given_yet_begins_no_life() -> None:
    files = [file(100 * at, 100 * at + 99, at, at) for at in range(8)]
    assert {one[0] for one in generations(*files, file(5_000, 5_099, 3.5, 20))} == {0}


def test_a_hub_that_is_made_anew_after_one_whose_first_events_are_lost_is_a_generation() -> None:
    files = [file(100 * at, 100 * at + 99, at, at) for at in range(3, 6)]
    again = [file(100 * at, 100 * at + 99, 10 + at, 10 + at, 1) for at in range(2)]
    assert [one[0] for one in generations(*files, *again)] == [0] * 3 + [1] * 2
