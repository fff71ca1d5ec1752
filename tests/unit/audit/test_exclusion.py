"""The listeners of an audit of the running system are few, known before it, and in no chart."""

import pytest
from msgspec import structs

from songline.audit.chart_check import check_untouched
from songline.audit.exclusion import PREFIX, NotExcludedError, check_excluded, excluded, excluding
from songline.audit.here import own
from songline.audit.plan import AuditConfig
from songline.schemas.policy import MAX_EXCLUDED, V1, parse_policy, policy_text
from tests.support.audited import log_of, played, right_charts, right_plays, small_history

CONFIG = AuditConfig(seed=7, is_here=True)
LOG = log_of(small_history())


def test_the_shipped_policy_counts_the_audits_listeners() -> None:
    with pytest.raises(NotExcludedError, match=r"policy v1, which counts songline-audit-user-0 and 7 others"):
        check_excluded(V1, CONFIG)


def test_the_printed_policy_excludes_them_and_keeps_all_else() -> None:
    mine = structs.replace(V1, name="mine", version=3, excluded_listeners=("user-9",))
    policy = parse_policy(policy_text(excluding(mine, CONFIG)))
    check_excluded(policy, CONFIG)
    assert policy.label == "mine-audited-v3"
    assert set(policy.excluded_listeners) == {"user-9", *excluded(CONFIG)}
    rules = structs.replace(policy, name="mine", excluded_listeners=("user-9",))
    assert rules == mine


def test_the_listeners_are_the_same_for_every_audit() -> None:
    assert excluded(CONFIG) == excluded(AuditConfig(seed=8, minutes=90, rate=500, is_here=True))


def test_a_policy_without_room_is_refused() -> None:
    full = structs.replace(V1, name="full", excluded_listeners=tuple(f"u-{number}" for number in range(MAX_EXCLUDED)))
    with pytest.raises(NotExcludedError, match="no room"):
        excluding(full, CONFIG)


def test_what_others_do_is_left_out() -> None:
    log = log_of([*small_history(), played(7, f"{PREFIX}user-0", f"{PREFIX}song"), b"?", played(8, "user-3")])
    found = own(log)
    assert [event.id for _, _, event in found.events] == ["e-7"]
    assert [(one.partition, one.position) for one in found.records] == [found.events[0][:2]]


def test_a_chart_that_counts_an_excluded_listener_is_named() -> None:
    charts, plays = right_charts(LOG), right_plays(LOG)
    assert check_untouched({"song-3"}, charts, {}).holds
    found = check_untouched({"song-2"}, charts, {"song-2": plays["song-2"]})
    whats = [one.what for one in found.differences]
    assert found.wrong > 2
    assert "chart top:1h:global counts song song-2" in whats
    only_hours = check_untouched({"song-2"}, {}, {"song-2": plays["song-2"]})
    assert [one.what for one in only_hours.differences] == ["song song-2, hour 2026-11-22T11, is counted"]
