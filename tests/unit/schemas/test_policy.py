"""Chart policies: the file that ships, what is read of any other one, and how one that breaks a rule is told."""

from math import exp2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.trending.spans import SPANS
from songline.schemas.errors import ContractViolationError
from songline.schemas.listening import ListenRule
from songline.schemas.policy import (
    MAX_EXCLUDED,
    OWN_NAME,
    SCALE_BITS,
    V1,
    ChartPolicy,
    HalfLives,
    Weights,
    parse_policy,
    policy_text,
    shipped_text,
)
from songline.schemas.types import DAY_MS

percent = st.integers(1, 1_000)
ids = st.from_regex(r"[A-Za-z0-9_:-]{1,20}", fullmatch=True)
policies = st.builds(
    ChartPolicy,
    name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True).filter(lambda name: name != OWN_NAME),
    version=st.integers(1, 1_000_000),
    listen=st.builds(ListenRule, least_ms=st.integers(0, DAY_MS), share_percent=st.integers(1, 100)),
    weights=st.builds(Weights, listen=st.integers(0, 100), like=st.integers(0, 100)),
    half_life_percent=st.builds(HalfLives, five_minutes=percent, hour=percent, day=percent, week=percent),
    excluded_listeners=st.lists(ids, unique=True).map(lambda found: tuple(sorted(found))),
)


def test_the_file_that_ships_says_the_rules_of_v1() -> None:
    assert parse_policy(shipped_text()) == V1
    assert V1.label == "v1"


def test_v1_weighs_as_charts_always_did() -> None:
    for name, span in SPANS.items():
        weights = [round(exp2(-age / (span.buckets / 2)) * (1 << SCALE_BITS)) for age in range(span.buckets)]
        assert list(V1.bucket_weights(name, span.buckets)) == weights


@given(policies)
def test_a_policy_is_read_as_it_was_written(policy: ChartPolicy) -> None:
    assert parse_policy(policy_text(policy)) == policy
    assert policy.label == f"{policy.name}-v{policy.version}"


CALM = shipped_text().replace(f'"{OWN_NAME}"', '"calm"')


@pytest.mark.parametrize(
    ("before", "after", "field", "value", "rule"),
    [
        ("like = 4", "like = -1", "weights.like", "-1", "a whole number, at least 0"),
        ("like = 4", "like = 101", "weights.like", "101", "a whole number, at most 100"),
        ("like = 4", 'like = "x"', "weights.like", "'x'", "a whole number"),
        ("like = 4", "like = 0.5", "weights.like", "0.5", "a whole number"),
        ("like = 4", "like = true", "weights.like", "True", "a whole number"),
        ("like = 4", "", "weights.like", "None", "the field is required"),
        ("like = 4", "lke = 4", "weights.lke", "4", "no such field: like, which is the nearest"),
        ("like = 4", "like = 4\nshare = 1", "weights.share", "1", "no such field"),
        ("[listen]", "[other]\n[listen]", "other", "{}", "no such field"),
        ("[weights]", "[[weights]]", "weights", "[{", "an object"),
        ('"calm"', '"Calm!"', "name", "'Calm!'", "lower-case letters"),
        ('"calm"', f'"{OWN_NAME}"\n#', None, None, None),
        ("version = 1", "version = 0", "version", "0", "at least 1"),
        ("version = 1", "version = 1.5", "version", "1.5", "a whole number"),
        ("[]", '["a b"]', "excluded_listeners[0]", "'a b'", "[A-Za-z0-9._:-]"),
        ("[]", '["a", "b", "a"]', "excluded_listeners", "'a'", "each listener once"),
        ("[]", str([f"u{n}" for n in range(MAX_EXCLUDED + 1)]), "excluded_listeners", "['u0'", "at most 5000 items"),
        ("5m = 50", "5m = 0", "half_life_percent.5m", "0", "at least 1"),
        ("7d = 50", "7d = 50\n8d = 50", "half_life_percent.8d", "50", "no such field"),
        ("share_percent = 50", "share_percent = 101", "listen.share_percent", "101", "at most 100"),
        ("name", "na me", "the file", "# The rules", "TOML"),
        ("version = 1", "version = 1\nversion = 1", "the file", "# The rules", "TOML"),
        ("version = 1", f"version = {'1' * 5_000}", "the file", "# The rules", "TOML: Exceeds the limit"),
        ("version = 1", f"version = 0x{'f' * 5_000}", "version", "a number of too many digits", "a whole number"),
        ("[]", f"[0x{'f' * 5_000}]", "excluded_listeners[0]", "a number of too many digits", "text"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_told_by_field_value_and_rule(
    before: str, after: str, field: str | None, value: str, rule: str
) -> None:
    text = CALM.replace(before, after)
    assert text != CALM
    if field is None:
        assert parse_policy(text) == V1
        return
    with pytest.raises(ContractViolationError) as caught:
        parse_policy(text)
    found = caught.value.violation
    assert found.field == field
    assert found.value.startswith(value)
    assert rule in found.rule


def test_other_rules_under_the_products_own_name_are_refused() -> None:
    for text in (shipped_text().replace("like = 4", "like = 5"), shipped_text().replace("version = 1", "version = 2")):
        with pytest.raises(ContractViolationError, match="another name"):
            parse_policy(text)


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_is_refused(text: str) -> None:
    with pytest.raises(ContractViolationError):
        parse_policy(text)


def test_a_file_of_any_size_is_answered_soon() -> None:
    for text in ("#" * 2_000_000, "a = " + "[" * 50_000):
        with pytest.raises(ContractViolationError):
            parse_policy(text)
