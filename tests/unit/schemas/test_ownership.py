"""Whose facts hold: the same in every order, whoever speaks of the song, and as a search by brute force says."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs

from songline.schemas.events import SongUploaded
from songline.schemas.moments import milliseconds
from songline.schemas.ownership import (
    OTHERS,
    UNDATED_S,
    Claim,
    Key,
    enqueued_second,
    holding,
    learn,
    owner_of,
)
from tests.support.ownership import NOON, Line, Log, random_log, removed, steps, uploaded, verdict

seeds = st.integers(0, 2**32 - 1)


class Fact(Struct, frozen=True):
    """The least that the rule asks for. `says` tells facts apart."""

    user_id: str
    position: int
    time_ms: int
    claim: Claim | None
    says: str

    def claiming(self, claim: Claim | None) -> Self:
        return structs.replace(self, claim=claim)


def fact(line: Line) -> Fact:
    data = line.event.data
    claims = isinstance(data, SongUploaded)
    claim = Claim(enqueued_second(line.logged), line.position) if claims else None
    says = data.title if isinstance(data, SongUploaded) else "gone"
    return Fact(data.user_id, line.position, milliseconds(line.event.time), claim, says)


def folded(random: Random, log: Log) -> Mapping[Key, Fact]:
    facts: Mapping[Key, Fact] = {}
    for partition, lines in steps(random, log):
        for line in lines:
            facts = learn(facts, partition, fact(line))
    return facts


def _home(line: Line) -> int:
    """The one partition in which a user speaks."""
    return int(line.event.data.user_id.removeprefix("user-")) % 4


@given(seeds)
def test_every_order_comes_to_what_brute_force_says(seed: int) -> None:
    random = Random(seed)
    log = random_log(random, ["ann", "bob", "cleo", "dan"])
    one, other = folded(random, log), folded(random, log)
    assert one == other
    right, held = verdict(log), holding(one)
    if right is None:
        assert held is None
    else:
        assert held is not None
        assert (held.user_id, held.time_ms) == (right.data.user_id, milliseconds(right.time))
        assert held.says == (right.data.title if isinstance(right.data, SongUploaded) else "gone")


@given(seeds)
def test_strangers_in_any_number_take_nothing_from_those_who_speak_in_one_partition(seed: int) -> None:
    random = Random(seed)
    users = [f"user-{number}" for number in range(5 * OTHERS)]
    log = random_log(random, users, partitions=4, lines=200)
    for partition, lines in log.items():
        log[partition] = [line for line in lines if _home(line) == partition]
    facts = folded(random, log)
    held, right = holding(facts), verdict(log)
    assert (held and (held.user_id, held.time_ms)) == (right and (right.data.user_id, milliseconds(right.time)))
    assert len(facts) <= OTHERS + 1


def test_a_removal_that_is_read_before_its_upload_takes_the_song_away() -> None:
    up = Line(7, NOON, uploaded("ann", "One"))
    down = Line(1, NOON + timedelta(hours=1), removed("ann", NOON + timedelta(hours=1)))
    takeover = Line(3, NOON + timedelta(minutes=1), uploaded("bob", "Mine", NOON + timedelta(hours=2)))
    said = [(0, fact(up)), (2, fact(down)), (1, fact(takeover))]
    results = set()
    for order in permutations(said):
        facts: Mapping[Key, Fact] = {}
        for partition, each in order:
            facts = learn(facts, partition, each)
        held = holding(facts)
        results.add((owner_of(facts), held and held.says))
    assert results == {("ann", "gone")}


@pytest.mark.parametrize("user", ["ann", "bob"])
def test_a_removal_alone_holds_for_nobody(user: str) -> None:
    facts = learn({}, 0, fact(Line(0, NOON, removed(user))))
    assert owner_of(facts) is None
    assert holding(facts) is None


def test_an_owner_stays_the_owner_of_what_they_removed() -> None:
    facts: Mapping[Key, Fact] = {}
    later = NOON + timedelta(days=1)
    for number, event in enumerate(
        (uploaded("ann", "One"), removed("ann", later), uploaded("bob", "Mine", later + timedelta(days=1)))
    ):
        facts = learn(facts, 0, fact(Line(number, NOON + timedelta(seconds=number), event)))
    held = holding(facts)
    assert held is not None
    assert (held.user_id, held.says) == ("ann", "gone")


def test_in_one_second_the_lower_partition_claims_and_then_the_lower_position() -> None:
    early, late = NOON, NOON + timedelta(milliseconds=999)
    facts = learn({}, 1, fact(Line(0, early, uploaded("ann", "One"))))
    facts = learn(facts, 0, fact(Line(5, late, uploaded("bob", "Two"))))
    assert owner_of(facts) == "bob"
    facts = learn(facts, 0, fact(Line(4, late, uploaded("cleo", "Three"))))
    assert owner_of(facts) == "cleo"
    facts = learn(facts, 2, fact(Line(9, early - timedelta(milliseconds=1), uploaded("dan", "Four"))))
    assert owner_of(facts) == "dan"


def test_what_is_no_news_gives_back_the_same_facts() -> None:
    first, second = (fact(Line(number, NOON, uploaded("ann", f"{number}"))) for number in (1, 2))
    facts = learn(learn({}, 0, first), 0, second)
    assert learn(facts, 0, first) is facts
    assert learn(facts, 0, second) is facts
    for number in range(OTHERS):
        facts = learn(facts, 1, fact(Line(number, NOON, uploaded(f"early-{number}", "Mine"))))
    assert learn(facts, 2, fact(Line(0, NOON, uploaded("late", "Mine")))) is facts


def test_moments_are_rounded_down_and_a_missing_one_is_the_latest() -> None:
    assert enqueued_second(datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)) == 1
    assert enqueued_second(None) == UNDATED_S > enqueued_second(datetime(9999, 12, 31, 23, 59, 58, tzinfo=UTC))
    assert milliseconds(datetime(1970, 1, 1, 0, 0, 1, 1_999, tzinfo=UTC)) == 1_001
