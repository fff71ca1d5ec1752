"""Lives of a reader over records of which some end it: those are parked, all others applied, and it takes few lives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.runtime.attempts import (
    PIECE,
    REACH,
    Attempt,
    attempt_id,
    attempt_piece,
    begin_attempt,
    is_culprit,
    plan_dissection,
)

KEY = attempt_id("library", "music-events", "2")


class Killed(BaseException):
    """The life ended in a fold."""


class Reader:
    """A partition of `length` records and what is durable of its reader: the position, the attempt, what is parked."""

    def __init__(self, length: int, deadly: set[int]) -> None:
        self.length, self.deadly = length, deadly
        self.position = -1
        self.attempt: Attempt | None = None
        self.applied: set[int] = set()
        self.parked: list[int] = []
        self.notes = 0

    def live(self, batch: int = 1_000) -> None:
        """Fold what there is, as the pump does; raises Killed where a fold ends the life."""
        before = self.attempt
        careful = plan_dissection(before, self.position + 1, self.length - 1)
        self.note(begin_attempt(before, KEY, "me", self.position + 1))
        while self.position < self.length - 1:
            first = self.position + 1
            if is_culprit(before, first):
                self.parked.append(first)
                self.position, before = first, None
                continue
            size = careful.next_size(first) if careful else batch
            records = range(first, min(first + size, self.length))
            if careful:
                assert self.attempt is not None
                self.note(attempt_piece(self.attempt, first, records[-1]))
            for record in records:
                if record in self.deadly:
                    raise Killed
                self.applied.add(record)
            self.position = records[-1]
            if careful:
                careful.advance(self.position)
                careful = None if careful.is_over(self.position) else careful
        assert self.attempt is not None
        self.attempt = begin_attempt(None, KEY, "me", self.position + 1)
        self.attempt = None

    def note(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.notes += 1


@given(st.integers(1, 4_000), st.sets(st.integers(0, 3_999), max_size=4), st.integers(1, 1_000))
def test_the_deadly_are_parked_and_all_others_applied(length: int, deadly: set[int], batch: int) -> None:
    deadly = {one for one in deadly if one < length}
    reader, lives = Reader(length, deadly), 1
    while True:
        try:
            reader.live(batch)
            break
        except Killed:
            lives += 1
    assert reader.parked == sorted(deadly)
    assert reader.applied == set(range(length)) - deadly
    assert lives <= 1 + len(deadly) * 5


def test_near_the_position_three_more_lives_find_it() -> None:
    reader, lives = Reader(200, {17}), 0
    while 17 not in reader.parked:
        lives += 1
        try:
            reader.live()
        except Killed:
            continue
    # As usual; in a piece; alone, twice; then it is known.
    assert lives == 5


def test_a_stay_that_ends_well_notes_once() -> None:
    reader = Reader(100_000, set())
    reader.live()
    assert reader.notes == 1


def test_after_a_kill_pieces_grow_so_that_few_are_noted() -> None:
    before = Attempt(id=KEY, owner="dead", first=5)
    found, position, pieces = plan_dissection(before, 100, 10_000_000), 100, 0
    assert found is not None
    while not found.is_over(position - 1):
        position += found.next_size(position)
        found.advance(position - 1)
        pieces += 1
    assert position == 100 + REACH
    assert pieces < 30


@pytest.mark.parametrize(
    ("attempt", "careful"),
    [
        (None, False),
        (Attempt(id=KEY, owner="x", first=5, open=False), False),
        (Attempt(id=KEY, owner="x", first=5), True),
        (Attempt(id=KEY, owner="x", first=1, piece_last=4), True),
    ],
)
def test_only_what_did_not_end_well_is_taken_apart(attempt: Attempt | None, careful: bool) -> None:
    assert (plan_dissection(attempt, 5, 90) is not None) == careful
    assert plan_dissection(attempt, 5, 4) is None


def test_no_record_is_a_culprit_for_one_death_or_for_being_first_of_a_piece() -> None:
    alone = Attempt(id=KEY, owner="x", first=5, piece_last=5, tries=1)
    assert not is_culprit(alone, 5)
    assert not is_culprit(Attempt(id=KEY, owner="x", first=5, piece_last=5 + PIECE, tries=9), 5)
    again = attempt_piece(begin_attempt(alone, KEY, "y", 5), 5, 5)
    assert (again.tries, again.owner) == (2, "y")
    assert is_culprit(again, 5)
    assert not is_culprit(begin_attempt(again, KEY, "z", 6), 6)
