"""Which of several statements holds: the later event time, then the higher partition."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.last_write import is_outdated, last_write
from songline.schemas.library.listener_documents import FlagState, flag_since
from songline.schemas.ownership import Claim, holding
from songline.schemas.songs import Fact

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("times", "expected"),
    [({}, None), ({3: 10}, 10), ({0: 20, 1: 10}, 20), ({0: 10, 1: 20}, 20)],
)
def test_the_later_event_time_holds(times: dict[int, int], expected: int | None) -> None:
    assert last_write(times.items(), lambda time: time) == expected


def test_of_equal_times_the_higher_partition_holds_as_a_number() -> None:
    statements = [(9, "nine"), (10, "ten"), (2, "two")]
    assert last_write(statements, lambda _: NOON) == "ten"
    marks = {str(partition): FlagState(on=partition == 10, at=NOON) for partition, _ in statements}
    assert flag_since(marks) == NOON


@given(st.dictionaries(st.integers(0, 20), st.integers(0, 5)), st.integers())
def test_the_order_of_the_statements_changes_nothing(times: dict[int, int], seed: int) -> None:
    statements = [(partition, (time, partition)) for partition, time in times.items()]
    expected = max((statement for _, statement in statements), default=None)
    Random(seed).shuffle(statements)
    assert last_write(statements, lambda statement: statement[0]) == expected


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 3), min_size=1))
def test_songs_and_libraries_decide_alike(minutes: dict[int, int]) -> None:
    moments = {partition: NOON + timedelta(minutes=minute) for partition, minute in minutes.items()}
    marks = {str(partition): FlagState(on=True, at=moment) for partition, moment in moments.items()}
    facts = {
        (partition, "ann"): Fact(position=partition, at=moment, user_id="ann", claim=Claim(0, partition))
        for partition, moment in moments.items()
    }
    held = holding(facts)
    assert held is not None
    assert flag_since(marks) == held.at


@pytest.mark.parametrize(("known", "outdated"), [(None, False), (1, False), (2, True), (3, True)])
def test_what_is_sent_again_replaces_only_what_is_earlier(known: int | None, outdated: bool) -> None:
    assert is_outdated(2, known) is outdated
