"""Checks the hub against the ledger: nothing accepted is lost or changed, order is kept, nothing is foreign. Pure."""

from collections.abc import Iterator
from itertools import pairwise

from songline.audit.hub_log import HubLog
from songline.audit.ledger import AcceptedEvent, Ledger
from songline.audit.proof import Difference, Proof, proof
from songline.schemas.commands import derived_id
from songline.schemas.envelope import Event, decode

HUB = "the hub music-events"


def check_delivery(ledger: Ledger, log: HubLog) -> list[Proof]:
    """The proofs about events between their acknowledgement and the hub."""
    first: dict[str, tuple[int, int, Event]] = {}
    for place in log.events:
        first.setdefault(place[2].id, place)
    accepted = ledger.events.values()
    in_order = [one for one in accepted if one.order is not None]
    return [
        proof(
            "events-kept",
            "No accepted event is lost or changed.",
            {"accepted events": len(ledger.events), "sent again after a failure": ledger.sent_again},
            _lost(ledger, first),
        ),
        proof(
            "order-kept",
            "Each listener's events are in the hub in the order in which they were accepted.",
            {"events": len(in_order), "listeners": len({one.listener for one in in_order})},
            _out_of_order(in_order, first),
        ),
        proof(
            "answers-true",
            "The API took every good event and upload in the end, and refused every bad event.",
            {"good events": len(ledger.events), "bad events": len(ledger.refused)},
            (Difference(f"{id_} was misjudged", where="history.jsonl") for id_ in sorted(ledger.misjudged)),
        ),
        proof(
            "nothing-foreign",
            "The hub holds no event that nobody sent, and none that was refused.",
            {"records": len(log.records), "refused events": len(ledger.refused)},
            _foreign(ledger, first),
        ),
    ]


def _lost(ledger: Ledger, first: dict[str, tuple[int, int, Event]]) -> Iterator[Difference]:
    for one in ledger.events.values():
        found = first.get(one.id)
        if found is None:
            yield Difference(f"event {one.id} of {one.listener} was accepted and is not there", one.id, None, HUB)
            continue
        sent = decode(one.body)
        if (sent.data, sent.time, sent.source) != (found[2].data, found[2].time, found[2].source):
            where = f"{HUB}, partition {found[0]}, position {found[1]}"
            yield Difference(f"event {one.id} of {one.listener} was changed", sent, found[2], where)


def _out_of_order(accepted: list[AcceptedEvent], first: dict[str, tuple[int, int, Event]]) -> Iterator[Difference]:
    by_listener: dict[str, list[AcceptedEvent]] = {}
    for one in accepted:
        by_listener.setdefault(one.listener, []).append(one)
    for listener, events in by_listener.items():
        there = [one for one in sorted(events, key=lambda one: one.order or 0) if one.id in first]
        for before, after in pairwise(there):
            earlier, later = first[before.id][:2], first[after.id][:2]
            if earlier[0] != later[0]:
                yield Difference(f"{listener} is in two partitions", earlier, later, HUB)
            elif earlier[1] > later[1]:
                where = f"{HUB}, partition {earlier[0]}"
                what = f"event {after.id} of {listener} is before {before.id}, which was accepted first"
                yield Difference(what, (before.id, after.id), (later[1], earlier[1]), where)


def _foreign(ledger: Ledger, first: dict[str, tuple[int, int, Event]]) -> Iterator[Difference]:
    made = {derived_id("song-uploaded", one) for one in ledger.uploads}
    for id_, (partition, position, event) in first.items():
        where = f"{HUB}, partition {partition}, position {position}"
        if id_ in ledger.refused:
            yield Difference(f"event {id_} was refused and is there", None, event, where)
        elif id_ not in ledger.offered and id_ not in made:
            yield Difference(f"event {id_} was sent by nobody", None, event, where)
