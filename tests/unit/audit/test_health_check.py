"""The check of health finds a worker that is ready and behind, and a process that is not ready for no cause."""

from songline.audit.health_check import EVERYTHING, FaultSpan, HealthSample, PositionSample, check_health
from songline.audit.hub_log import HubLog, HubLogRecord
from songline.audit.proof import Proof

RECOVERS_S = 60.0
LOG = HubLog(tuple(HubLogRecord(0, number, 100.0 * number, b"") for number in range(10)), (), ())
"""A record each hundred seconds, from 0 to 900."""


def samples(process: str, *unready: tuple[float, float]) -> list[HealthSample]:
    """Asked every second for 1,000 seconds; not ready in these spans."""
    return [
        HealthSample(process, at, not any(begin <= at < end for begin, end in unready), "waits")
        for at in map(float, range(1_000))
    ]


def wrong(proofs: list[Proof]) -> dict[str, int]:
    return {one.name: one.wrong for one in proofs if not one.holds}


def check(
    seen: list[HealthSample], positions: list[PositionSample] | None = None, faults: list[FaultSpan] | None = None
) -> dict[str, int]:
    return wrong(check_health(seen, positions or [], faults or [], LOG, RECOVERS_S))


def test_a_worker_that_is_ready_and_up_to_date_is_right() -> None:
    positions = [PositionSample("library", at, {"0": int(at // 100)}) for at in map(float, range(1_000))]
    assert check(samples("library"), positions) == {}


def test_a_worker_that_is_ready_and_lacks_an_old_event_lies() -> None:
    # Position 3 was enqueued at 300: the worker lacks it for 200 s.
    assert check(samples("library"), [PositionSample("library", 500.0, {"0": 2})]) == {"ready-is-true": 1}
    assert check(samples("library"), [PositionSample("library", 500.0, {})]) == {"ready-is-true": 1}


def test_a_worker_that_lacks_a_young_event_may_be_ready() -> None:
    assert check(samples("library"), [PositionSample("library", 405.0, {"0": 2})]) == {}


def test_a_worker_that_lacks_an_old_event_and_says_so_is_right() -> None:
    seen, faults = samples("library", (390.0, 600.0)), [FaultSpan("stop", "library", 390.0, 560.0)]
    assert check(seen, [PositionSample("library", 500.0, {"0": 2})], faults) == {}


def test_a_worker_that_has_just_started_finds_out_first() -> None:
    faults = [FaultSpan("kill", "library", 390.0, 470.0)]
    seen = samples("library", (390.0, 470.0))
    assert check(seen, [PositionSample("library", 500.0, {"0": 2})], faults) == {}
    assert check(seen, [PositionSample("library", 506.0, {"0": 2})], faults) == {"ready-is-true": 1}


def test_a_start_between_two_questions_is_one() -> None:
    late = [PositionSample("library", 500.0, {"0": 2})]
    assert check(samples("library"), late, [FaultSpan("kill", "library", 470.0, 470.0)]) == {}
    assert check(samples("library"), late, [FaultSpan("kill", EVERYTHING, 470.0, 480.0)]) == {}
    for fault in (FaultSpan("kill", "catalog", 470.0, 470.0), FaultSpan("cut", EVERYTHING, 470.0, 480.0)):
        assert check(samples("library"), late, [fault]) == {"ready-is-true": 1}


def test_the_health_of_another_worker_says_nothing() -> None:
    assert check(samples("catalog"), [PositionSample("library", 500.0, {"0": 2})]) == {}


def test_not_ready_for_no_cause_is_named() -> None:
    assert check(samples("library", (500.0, 502.0))) == {"not-ready-is-true": 1}


def test_not_ready_while_the_cause_lasts_and_a_while_after_it_is_right() -> None:
    seen = samples("library", (500.0, 570.0))
    assert check(seen, faults=[FaultSpan("kill", "library", 499.0, 515.0)]) == {}
    assert check(seen, faults=[FaultSpan("kill", EVERYTHING, 499.0, 515.0)]) == {}
    assert check(seen, faults=[FaultSpan("kill", "catalog", 499.0, 515.0)]) == {"not-ready-is-true": 1}


def test_not_ready_for_longer_than_that_is_named() -> None:
    faults = [FaultSpan("kill", "library", 499.0, 505.0)]
    assert check(samples("library", (500.0, 580.0)), faults=faults) == {"not-ready-is-true": 1}


def test_not_ready_before_its_cause_is_named() -> None:
    faults = [FaultSpan("kill", "library", 510.0, 515.0)]
    assert check(samples("library", (500.0, 530.0)), faults=faults) == {"not-ready-is-true": 1}


def test_causes_one_after_another_explain_a_long_span() -> None:
    faults = [FaultSpan("kill", "library", 500.0 + 50 * number, 501.0 + 50 * number) for number in range(5)]
    assert check(samples("library", (500.0, 740.0)), faults=faults) == {}
    del faults[2]
    assert check(samples("library", (500.0, 740.0)), faults=faults) == {"not-ready-is-true": 1}


def test_not_ready_at_the_end_is_named() -> None:
    assert check(samples("library", (900.0, 1_000.0))) == {"not-ready-is-true": 1}


def test_a_short_time_without_an_answer_is_nothing_that_a_process_says() -> None:
    def silent(begin: int, end: int) -> list[HealthSample]:
        return [
            HealthSample("api", float(at), not begin <= at < end, "no answer", not begin <= at < end)
            for at in range(1_000)
        ]

    assert check(silent(500, 540)) == {}
    assert check(silent(500, 550)) == {"not-ready-is-true": 1}
    said = [HealthSample("api", one.at_s, one.is_ready, "waits") for one in silent(500, 510)]
    assert check(said) == {"not-ready-is-true": 1}
