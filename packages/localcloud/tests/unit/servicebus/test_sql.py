"""SQL rules, by example from the documentation and by property."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus.errors import InvalidArgumentError
from localcloud.servicebus.like_pattern import like
from localcloud.servicebus.sql import MessageView, compile_action, compile_filter
from localcloud.servicebus.sql_values import FilterError, Value, calculated, compared

MESSAGE = MessageView(
    {"label": "important bus", "to": "Store5", "messageid": "m1"},
    {"storeid": "Store1", "price": 12, "ratio": 0.5, "flag": True, "empty": None, "hr-employeeid": 7, "a]b": 1},
)


def ask(text: str, **parameters: Value) -> bool | None:
    return compile_filter(text, parameters)(MESSAGE)


@pytest.mark.parametrize(
    "text",
    [
        "sys.Label LIKE '%bus%'",
        "sys.To IN ('Store5','Store6') OR StoreId = 'Store8'",
        "storeid NOT IN ('Store2', 'Store3')",
        "user.StoreId = 'Store1' and price >= 12",
        "price + 1 * 2 = 14",
        "(price + 1) * 2 = 26",
        "-price = -12",
        "price / 5 = 2 AND price % 5 = 2 AND -price / 5 = -2 AND -price % 5 = -2",
        "ratio < 1 AND ratio = .5 AND ratio = 5E-1",
        "price = 12.0",
        "[hr-EmployeeId] = 7",
        "[a]]b] = 1",
        '"hr-EmployeeId" = 7',
        "missing IS NULL AND empty IS NULL AND price IS NOT NULL",
        "EXISTS(price) AND EXISTS(empty) AND NOT EXISTS(missing) AND EXISTS(sys.Label)",
        "'100%' LIKE '100!%' ESCAPE '!'",
        "NOT ('100x' LIKE '100!%' ESCAPE '!')",
        "'it''s' = 'it''s'",
        "flag = TRUE AND flag <> FALSE AND flag",
        "property('price') = 12 AND p('PRICE') = 12",
        "newid() <> newid()",
        "storeid != 'store1'",
        "1=1",
        "android = 1 OR TRUE",
        "NOT price < 3 AND NOT price > 30",
    ],
)
def test_true(text: str) -> None:
    assert ask(text) is True


@pytest.mark.parametrize("text", ["price = 13", "sys.Label LIKE 'bus%'", "price IN (1, 2)", "FALSE", "NOT flag"])
def test_false(text: str) -> None:
    assert ask(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "missing = 1",
        "missing <> 1",
        "NOT missing = 1",
        "missing LIKE 'a'",
        "missing IN (1, 2)",
        "missing NOT IN (1, 2)",
        "price IN (1, missing)",
        "missing + 1 = 2",
        "-missing = 2",
        "storeid = 5",
        "flag < TRUE",
        "price LIKE '1%'",
        "NULL = NULL",
        "missing = 1 AND TRUE",
        "missing = 1 OR FALSE",
    ],
)
def test_unknown(text: str) -> None:
    assert ask(text) is None


def test_and_and_or_decide_without_the_unknown_side() -> None:
    assert ask("missing = 1 AND FALSE") is False
    assert ask("missing = 1 OR TRUE") is True


def test_parameters() -> None:
    parameters: dict[str, Value] = {"@Store": "Store1", "price": 12}
    assert ask("storeid = @store AND price = @price", **parameters)
    with pytest.raises(InvalidArgumentError, match="@nothing"):
        ask("price = @nothing")


@pytest.mark.parametrize(
    "text", ["price / 0 = 1", "price + flag = 1", "9223372036854775807 + 1 > 0", "price", "price % 0 = 1"]
)
def test_meaningless(text: str) -> None:
    with pytest.raises(FilterError):
        ask(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "price =",
        "= 1",
        "price = 'open",
        "sys.Nothing = 1",
        "a b",
        "(price = 1",
        "IN (1)",
        "9223372036854775808 > 1",
        "x" * 1025,
        "NOT " * 200 + "TRUE",
    ],
)
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        ask(text)


@given(st.text(max_size=40))
def test_whatever_the_text_it_compiles_or_is_refused(text: str) -> None:
    try:
        compile_filter(text, {})
    except InvalidArgumentError:
        return


def pattern_as_regex(pattern: str) -> str:
    return "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)


@given(st.text("ab%_\n", max_size=12), st.text("ab\n", max_size=12))
def test_like_is_the_regular_expression_that_it_says(pattern: str, text: str) -> None:
    assert like(text, pattern) == bool(re.fullmatch(pattern_as_regex(pattern), text, re.DOTALL))


def test_like_takes_no_exponential_time() -> None:
    assert not like("a" * 5000, "%a" * 100 + "b")


@given(st.text(max_size=20))
def test_an_escaped_text_matches_itself_alone(text: str) -> None:
    escaped = "".join("!" + c if c in "!%_" else c for c in text)
    assert like(text, escaped, "!")
    assert not like(text + "x", escaped, "!")


TRUTHS: dict[str, bool | None] = {"TRUE": True, "FALSE": False, "(missing = 1)": None}
PREDICATES = st.recursive(
    st.sampled_from(sorted(TRUTHS)).map(lambda text: (text, TRUTHS[text])),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]} AND {p[1][0]})", kleene_and(p[0][1], p[1][1]))),
        st.tuples(inner, inner).map(
            lambda p: (f"({p[0][0]} or {p[1][0]})", negated(kleene_and(negated(p[0][1]), negated(p[1][1]))))
        ),
        inner.map(lambda p: (f"NOT {p[0]}", negated(p[1]))),
    ),
    max_leaves=12,
)


def kleene_and(left: bool | None, right: bool | None) -> bool | None:
    order = {False: 0, None: 1, True: 2}
    return min(left, right, key=lambda truth: order[truth])


def negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


@given(PREDICATES)
def test_three_valued_logic(predicate: tuple[str, bool | None]) -> None:
    text, expected = predicate
    assert ask(text) is expected


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=3)
)


@given(SCALARS, SCALARS)
def test_equal_and_not_equal_are_each_others_opposite(left: Value, right: Value) -> None:
    assert compared("<>", left, right) is negated(compared("=", left, right))
    assert compared("<", left, right) is compared(">", right, left)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000).filter(bool))
def test_division_and_remainder_belong_together(left: int, right: int) -> None:
    quotient, remainder = calculated("/", left, right), calculated("%", left, right)
    assert isinstance(quotient, int)
    assert isinstance(remainder, int)
    assert quotient * right + remainder == left
    assert abs(quotient) == abs(left) // abs(right)


def test_actions() -> None:
    actions = compile_action("SET a = price * 2; SET sys.Label = 'x' REMOVE [b c];", {})
    assert [(a.system, a.name, a.value(MESSAGE) if a.value else None) for a in actions] == [
        (False, "a", 24),
        (True, "label", "x"),
        (False, "b c", None),
    ]


@pytest.mark.parametrize("text", ["SET a", "a = 1", "SET sys.EnqueuedTimeUtc = 1", "", "REMOVE 5"])
def test_what_is_no_action(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        compile_action(text, {})
