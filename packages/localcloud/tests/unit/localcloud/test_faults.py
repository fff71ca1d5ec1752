"""Which requests a rule strikes, and what is said of rules that make no sense."""

import json

import pytest

from localcloud.faults import BusyFault, DelayFault, DropFault, FaultRulesError, Faults, ThrottleFault, parse_rules


def one(**rule: object) -> Faults:
    return Faults(parse_rules(json.dumps([rule]).encode()))


def test_a_rule_strikes_what_matches_so_often_as_it_says() -> None:
    faults = one(service="cosmos", kind="throttle", operation="up*", entity="songs/*", after=1, count=2)
    struck = [faults.next("cosmos", "upsert", "songs/library") is not None for _ in range(5)]
    assert struck == [False, True, True, False, False]
    for other in (("kafka", "upsert", "songs/x"), ("cosmos", "read", "songs/x"), ("cosmos", "upsert", "charts/x")):
        assert faults.next(*other) is None
    assert [(rule["matched"], rule["fired"]) for rule in faults.report()] == [(5, 2)]


def test_probability_follows_its_seed() -> None:
    def pattern(seed: int) -> list[bool]:
        faults = one(service="cosmos", kind="drop", probability=0.3, seed=seed)
        return [faults.next("cosmos", "read", "a/b") is not None for _ in range(1000)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert 230 < sum(pattern(1)) < 370


def test_the_first_rule_that_strikes_is_the_only_one() -> None:
    faults = Faults([ThrottleFault(service="cosmos", count=1), DelayFault(service="cosmos", ms=5)])
    assert isinstance(faults.next("cosmos", "read", "a/b"), ThrottleFault)
    assert isinstance(faults.next("cosmos", "read", "a/b"), DelayFault)


def test_a_rule_strikes_only_what_its_kind_can_befall() -> None:
    faults = Faults([BusyFault(service="servicebus"), DropFault(service="servicebus")])
    assert isinstance(faults.next("servicebus", "send", "queue"), BusyFault)
    assert isinstance(faults.next("servicebus", "receive", "queue"), DropFault)


def test_one_of_several_entities_has_to_match() -> None:
    faults = one(service="kafka", kind="drop", operation="Produce", entity="b")
    assert faults.next("kafka", "Produce", "a", "") is None
    assert faults.next("kafka", "Produce", "a", "b", "") is not None


@pytest.mark.parametrize(
    ("rules", "field", "value"),
    [
        ([{"service": "cosmos", "kind": "throttle", "count": 0}], "[0].count", 0),
        ([{"service": "cosmos", "kind": "drop"}, {"service": "s3", "kind": "drop"}], "[1].service", "s3"),
        ([{"service": "cosmos", "kind": "explode"}], "[0].kind", "explode"),
        ([{"service": "cosmos", "kind": "drop", "often": 3}], "[0]", {"service": "cosmos", "kind": "drop", "often": 3}),
        ([{"service": "kafka", "kind": "delay"}], "[0]", {"service": "kafka", "kind": "delay"}),
        ([{"service": "eventhubs", "kind": "drop", "operation": "recieve"}], "[0].operation", "recieve"),
        ([{"service": "eventhubs", "kind": "busy", "operation": "receive"}], "[0].kind", "busy"),
        ({"service": "cosmos"}, "the body", {"service": "cosmos"}),
    ],
)
def test_what_is_wrong_is_named(rules: object, field: str, value: object) -> None:
    with pytest.raises(FaultRulesError) as caught:
        parse_rules(json.dumps(rules).encode())
    assert (caught.value.field, caught.value.value) == (field, value)
    assert caught.value.rule


def test_what_is_no_json_is_named() -> None:
    with pytest.raises(FaultRulesError, match=r"the body is '\{oops': expected JSON"):
        parse_rules(b"{oops")
