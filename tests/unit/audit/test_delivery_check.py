"""The check of the hub names what was lost, changed, out of order and foreign, and nothing else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from songline.audit.delivery_check import check_delivery
from songline.audit.ledger import Ledger
from songline.audit.proof import Proof
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from tests.support.audited import ledger_of, log_of, played, small_history


def wrong(proofs: list[Proof]) -> dict[str, list[str]]:
    return {one.name: [each.what for each in one.differences] for one in proofs if not one.holds}


def test_a_whole_history_proves_everything() -> None:
    events = small_history()
    proofs = check_delivery(ledger_of(events), log_of(events))
    assert wrong(proofs) == {}
    assert proofs[0].checked["accepted events"] == len(events)


@pytest.mark.parametrize("lost", range(6))
def test_one_lost_event_is_named(lost: int) -> None:
    events = small_history()
    kept = [one for one in events if one is not events[lost]]
    user = events[lost].partition_key
    expected = {"events-kept": [f"event e-{lost} of {user} was accepted and is not there"]}
    assert wrong(check_delivery(ledger_of(events), log_of(kept))) == expected


def test_one_changed_event_is_named() -> None:
    events = small_history()
    assert isinstance(events[1].data, SongPlayed)
    changed = structs.replace(events[1], data=structs.replace(events[1].data, played_ms=1))
    found = wrong(check_delivery(ledger_of(events), log_of([events[0], changed, *events[2:]])))
    assert found == {"events-kept": ["event e-1 of user-1 was changed"]}


def test_one_event_out_of_order_is_named() -> None:
    events = small_history()
    swapped = [events[0], events[3], events[2], events[1], *events[4:]]
    found = wrong(check_delivery(ledger_of(events), log_of(swapped)))
    assert found == {"order-kept": ["event e-3 of user-1 is before e-1, which was accepted first"]}


def test_an_event_that_is_there_again_is_none_out_of_order() -> None:
    events = small_history()
    again = [*events, events[1], events[2]]
    assert wrong(check_delivery(ledger_of(events), log_of(again))) == {}


def test_order_that_an_answer_left_open_is_not_checked() -> None:
    first, second, third = played(1), played(2), played(3)
    ledger = Ledger(offered={"e-1", "e-2", "e-3"})
    ledger.accept([(first.id, "user-1", encode(first))])
    ledger.accept([(second.id, "user-1", encode(second))], is_doubtful=True)
    ledger.accept([(third.id, "user-1", encode(third))])
    proofs = check_delivery(ledger, log_of([first, third, second]))
    assert wrong(proofs) == {}
    assert proofs[1].checked["events"] == 2
    assert wrong(check_delivery(ledger, log_of([third, first, second]))).keys() == {"order-kept"}


def test_a_listener_in_two_partitions_is_named() -> None:
    events = [played(1), played(2)]
    log = log_of(events)
    place, moved = log.events
    torn = structs.replace(log, events=(place, (moved[0] + 1, 0, moved[2])))
    found = wrong(check_delivery(ledger_of(events), torn))
    assert found == {"order-kept": ["user-1 is in two partitions"]}


def test_a_foreign_event_and_a_refused_one_are_named() -> None:
    events = small_history()
    ledger = ledger_of(events)
    ledger.refused.add("e-8")
    found = wrong(check_delivery(ledger, log_of([*events, played(7), played(8)])))
    assert found == {"nothing-foreign": ["event e-7 was sent by nobody", "event e-8 was refused and is there"]}


def test_an_event_that_was_sent_and_never_accepted_may_be_there() -> None:
    events = small_history()
    ledger = ledger_of(events)
    ledger.offered.add("e-9")
    assert wrong(check_delivery(ledger, log_of([*events, played(9)]))) == {}


def test_a_misjudged_event_is_named() -> None:
    ledger = ledger_of(small_history())
    ledger.misjudged.add("e-3")
    assert wrong(check_delivery(ledger, log_of(small_history()))) == {"answers-true": ["e-3 was misjudged"]}


@given(st.lists(st.sampled_from(["user-1", "user-2", "user-3"]), min_size=2, max_size=30), st.randoms(), st.data())
def test_what_is_lost_and_swapped_is_found_in_any_history(
    users: list[str], chance: random.Random, data: st.DataObject
) -> None:
    events = [played(number, user) for number, user in enumerate(users)]
    ledger = ledger_of(events)
    # Listeners may be mixed in any way, as long as each one's own order stays.
    lanes: dict[str, list[Event]] = {}
    for one in events:
        lanes.setdefault(one.partition_key, []).append(one)
    mixed = []
    while lanes:
        user = chance.choice(sorted(lanes))
        mixed.append(lanes[user].pop(0))
        if not lanes[user]:
            del lanes[user]
    assert wrong(check_delivery(ledger, log_of(mixed))) == {}
    lost = data.draw(st.integers(0, len(mixed) - 1))
    assert wrong(check_delivery(ledger, log_of(mixed[:lost] + mixed[lost + 1 :]))).keys() == {"events-kept"}
    places = [at for at, one in enumerate(mixed) if one.partition_key == mixed[lost].partition_key]
    if len(places) > 1:
        begin, end = places[0], places[-1]
        mixed[begin], mixed[end] = mixed[end], mixed[begin]
        assert wrong(check_delivery(ledger, log_of(mixed))).keys() == {"order-kept"}
