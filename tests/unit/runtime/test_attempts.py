"""Lives of a reader over records of which some end it: those are parked, all others applied, and it takes few lives."""

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.runtime.attempts import (
    LARGEST_PIECE,
    PIECE,
    REACH,
    STRIDE,
    Attempt,
    Dissection,
    attempt_before,
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

    def __init__(self, length: int, deadly: set[int], stride: int = STRIDE) -> None:
        self.length, self.deadly, self.stride = length, deadly, stride
        self.position = -1
        self.attempt: Attempt | None = None
        self.applied: set[int] = set()
        self.parked: list[int] = []
        self.notes = 0

    def live(self, batch: int = 1_000) -> None:
        """Fold what there is, as the pump does; raises Killed where a fold ends the life."""
        self.live_in(lambda: batch)

    def live_in(self, batches: Callable[[], int]) -> None:
        """Live, with a commit after so many records each time where they are folded as usual."""
        self.begin(batches())
        while not self.is_done:
            self.begin_piece()
            self.fold()
            self.batch = batches()
        self.end()

    def begin(self, batch: int) -> None:
        self.before, self.batch = self.attempt, batch
        hub_last = self.length - 1
        self.careful = plan_dissection(self.before, self.position + 1, hub_last, self.stride, LARGEST_PIECE)
        self.piece = range(0)
        self.note(begin_attempt(self.before, KEY, "me", self.position + 1))

    @property
    def is_done(self) -> bool:
        return self.position >= self.length - 1

    @property
    def is_alone(self) -> bool:
        return self.careful is not None and self.careful.is_suspect(self.position + 1)

    def begin_piece(self) -> None:
        """Note what is folded next, or park it."""
        first = self.position + 1
        if is_culprit(self.before, first):
            self.parked.append(first)
            self.position, self.before, self.piece = first, None, range(0)
            return
        size = self.careful.next_size(first) if self.careful else self.batch
        self.piece = range(first, min(first + size, self.length))
        if self.careful:
            assert self.attempt is not None
            if (attempt := attempt_before(self.attempt, self.careful, first, self.piece[-1])) is not None:
                self.note(attempt)

    def fold(self) -> None:
        for record in self.piece:
            if record in self.deadly:
                raise Killed
            self.applied.add(record)
        self.position = self.piece[-1] if self.piece else self.position
        if self.careful:
            self.careful.advance(self.position)
            self.careful = None if self.careful.is_over(self.position) else self.careful

    def end(self) -> None:
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


@effort(20)
@given(st.integers(0, 59_999), st.integers(0, 2**32))
def test_a_record_that_ends_every_life_is_found_one_life_later_where_much_was_written_before(
    deadly: int, seed: int
) -> None:
    reader, lives, sizes = Reader(60_000, {deadly}), 0, Random(seed)
    while not reader.parked:
        lives += 1
        try:
            reader.live_in(lambda: sizes.randint(1, REACH))
        except Killed:
            continue
    # As usual, twice; in a piece; in a part of it, alone; by itself, twice; then it is known.
    assert lives <= 7
    assert reader.applied == set(range(60_000)) - {deadly}


def test_lives_that_are_killed_after_much_fold_as_usual_and_note_once_each() -> None:
    reader = Reader(5 * STRIDE, set())
    for _ in range(4):
        reader.begin(STRIDE)
        reader.begin_piece()
        reader.fold()
        assert reader.careful is None
    assert (reader.position + 1, reader.notes) == (4 * STRIDE, 4)


@effort(10)
@example([set(), {29}, {14, 92}], 6361848, STRIDE)
@given(
    st.lists(st.sets(st.integers(0, 399), max_size=2), min_size=2, max_size=4),
    st.integers(0, 2**32),
    st.sampled_from([50, STRIDE]),
)
def test_partitions_beside_one_another_blame_no_good_record(deadly: list[set[int]], seed: int, stride: int) -> None:
    # Drawn by hypothesis, thousands of choices take minutes.
    readers, lives, order = [Reader(400, one, stride) for one in deadly], 1, Random(seed)
    while lives <= 100:
        try:
            live_together(readers, order, min(stride, 1_000))
            break
        except Killed:
            lives += 1
    assert [reader.parked for reader in readers] == [sorted(one) for one in deadly]
    assert all(reader.applied == set(range(400)) - one for reader, one in zip(readers, deadly, strict=True))
    # What ends a partition's stay in the midst of its suspects makes their rest unsuspected again: by chance, and so
    # more often in some orders than in others.
    assert lives <= 1 + sum(map(len, deadly)) * 12


def live_together(readers: Sequence[Reader], order: Random, batch: int) -> None:
    """A life of a process with these partitions: some of them are folded at a time, or a suspect alone."""
    for reader in readers:
        reader.begin(batch)
    while left := [reader for reader in readers if not reader.is_done]:
        alone = [reader for reader in left if reader.is_alone]
        beside = [reader for reader in left if not reader.is_alone]
        turn = order.sample(beside, order.randint(1, len(beside))) if beside else []
        if alone and (not turn or order.random() < 0.5):
            turn = [order.choice(alone)]
        for reader in turn:
            reader.begin_piece()
        for reader in turn:
            reader.fold()
    for reader in readers:
        reader.end()


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


def test_what_a_kill_left_is_folded_in_few_pieces() -> None:
    plan, position, sizes = Dissection(until=7_499), 0, []
    while not plan.is_over(position - 1):
        sizes.append(plan.next_size(position))
        position += sizes[-1]
        plan.advance(position - 1)
    assert sizes == [32, 256, 2_048, 2_048, 2_048, 1_068]


def test_a_stay_that_ends_well_notes_once() -> None:
    reader = Reader(100_000, set())
    reader.live()
    assert reader.notes == 1


def test_a_stay_after_a_kill_notes_its_first_piece_and_then_all_others_at_once() -> None:
    reader = Reader(15_000, set())
    reader.attempt = Attempt(id=KEY, owner="killed", first=0)
    reader.live()
    assert reader.notes == 3


@pytest.mark.parametrize("deadly", [33, 400, 3_500, 9_700])
def test_a_deadly_record_among_pieces_that_were_noted_at_once_is_found_as_soon(deadly: int) -> None:
    reader, lives, most = Reader(15_000, {deadly}), 0, 0
    while not reader.parked:
        lives, reader.notes = lives + 1, 0
        try:
            reader.live()
        except Killed:
            most = max(most, reader.notes)
    # As usual; in a piece; in a part of it, alone; by itself, twice; then it is known.
    assert (reader.parked, lives) == ([deadly], 6)
    assert most <= 3 + LARGEST_PIECE // PIECE


def test_after_a_kill_pieces_grow_so_that_few_are_noted() -> None:
    before = Attempt(id=KEY, owner="dead", first=5)
    found, position, pieces = plan_dissection(before, 100, 10_000_000, STRIDE), 100, 0
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
        (Attempt(id=KEY, owner="x", first=50), True),
        (Attempt(id=KEY, owner="x", first=41), True),
        (Attempt(id=KEY, owner="x", first=40), False),
        (Attempt(id=KEY, owner="x", first=40, error="ValueError"), True),
        (Attempt(id=KEY, owner="x", first=40, piece_last=49), False),
        (Attempt(id=KEY, owner="x", first=40, piece_last=50), True),
        (Attempt(id=KEY, owner="x", first=90), True),
    ],
    ids=[
        "none",
        "ended well",
        "wrote nothing",
        "wrote less than a stride",
        "wrote a stride",
        "noted an error",
        "was behind its pieces",
        "ended in a piece",
        "was set back by an operator",
    ],
)
def test_only_what_a_record_may_have_ended_is_taken_apart(attempt: Attempt | None, careful: bool) -> None:
    assert (plan_dissection(attempt, 50, 90, stride=10) is not None) == careful


def test_nothing_is_taken_apart_where_nothing_follows() -> None:
    assert plan_dissection(Attempt(id=KEY, owner="x", first=50), 50, 49, STRIDE) is None


def test_a_record_that_was_folded_beside_others_is_tried_twice_alone_all_the_same() -> None:
    stay = Attempt(id=KEY, owner="x", first=5)
    beside = attempt_piece(stay, 5, 5, alone=False)
    for _ in range(5):
        beside = attempt_piece(begin_attempt(beside, KEY, "y", 5), 5, 5, alone=False)
    assert beside.tries == 0
    assert not is_culprit(beside, 5)
    found = plan_dissection(beside, 5, 90, STRIDE)
    assert found is not None
    assert found.is_suspect(5)
    assert not found.is_suspect(6)
    once = attempt_piece(begin_attempt(beside, KEY, "z", 5), 5, 5, alone=True)
    twice = attempt_piece(begin_attempt(once, KEY, "z", 5), 5, 5, alone=True)
    assert [is_culprit(one, 5) for one in (once, twice)] == [False, True]


def test_no_record_is_a_culprit_for_one_death_or_for_being_first_of_a_piece() -> None:
    alone = Attempt(id=KEY, owner="x", first=5, piece_last=5, tries=1)
    assert not is_culprit(alone, 5)
    assert not is_culprit(Attempt(id=KEY, owner="x", first=5, piece_last=5 + PIECE, tries=9), 5)
    again = attempt_piece(begin_attempt(alone, KEY, "y", 5), 5, 5)
    assert (again.tries, again.owner) == (2, "y")
    assert is_culprit(again, 5)
    assert not is_culprit(begin_attempt(again, KEY, "z", 6), 6)
