"""What queries mean: examples from the reference, and by property against plain Python."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.program import compile_query

Document = dict[str, Any]

FAMILY: list[Document] = [
    {"id": "1", "a": 1, "tags": ["x", "y"], "address": {"city": "Bonn"}, "kids": [{"n": "Ann", "age": 3}]},
    {"id": "2", "a": "s", "tags": ["y"]},
    {"id": "3"},
    {"id": "4", "a": None, "tags": []},
    {"id": "5", "a": 3, "b": True, "kids": [{"n": "Bo", "age": 5}, {"n": "Cy", "age": 1}]},
]


def run(text: str, documents: list[Document] | None = None, **parameters: object) -> list[object]:
    program = compile_query(parse(text), {f"@{name}": value for name, value in parameters.items()}, 1_700_000_000_000)
    rows: list[dict[str, object]] = [{}]
    if not program.from_nothing:
        rows = [row for document in documents or FAMILY for row in program.rows({"": document})]
    return program.results(rows)[program.offset : program.offset + program.limit]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT VALUE c.id FROM c WHERE c.a > 0", ["1", "5"]),
        ("SELECT VALUE c.id FROM c WHERE c.a = null", ["4"]),
        ("SELECT VALUE c.id FROM c WHERE c.a != null", ["1", "2", "5"]),
        ("SELECT VALUE c.id FROM c WHERE c.a != 1", ["4", "5"]),
        ("SELECT VALUE c.id FROM c WHERE NOT (c.a = 1)", ["4", "5"]),
        ("SELECT VALUE c.id FROM c WHERE c.a = 1 OR c.b", ["1", "5"]),
        ("SELECT VALUE c.id FROM c WHERE NOT IS_DEFINED(c.a)", ["3"]),
        ("SELECT VALUE c.id FROM c WHERE c.a IN (1, 's', 9)", ["1", "2"]),
        ("SELECT VALUE c.id FROM c WHERE c.a BETWEEN 2 AND 4", ["5"]),
        ("SELECT VALUE c.id FROM c WHERE c.address.city LIKE 'B_n%'", ["1"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.a", ["3", "4", "1", "5", "2"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.a DESC", ["2", "5", "1", "4", "3"]),
        ("SELECT VALUE c.id FROM c ORDER BY IS_DEFINED(c.b) DESC, c.id DESC", ["5", "4", "3", "2", "1"]),
        ("SELECT c.id, c.address.city FROM c WHERE c.id < '3'", [{"id": "1", "city": "Bonn"}, {"id": "2"}]),
        ("SELECT c.id AS i, c.a + 1 FROM c WHERE c.a = 3", [{"i": "5", "$1": 4}]),
        ("SELECT TOP 2 VALUE c.id FROM c", ["1", "2"]),
        ("SELECT VALUE c.id FROM c OFFSET 1 LIMIT 2", ["2", "3"]),
        ("SELECT VALUE t FROM c JOIN t IN c.tags", ["x", "y", "y"]),
        ("SELECT VALUE t FROM t IN c.tags", ["x", "y", "y"]),
        ("SELECT DISTINCT VALUE t FROM t IN c.tags", ["x", "y"]),
        (
            "SELECT VALUE {i: c.id, k: k.n} FROM c JOIN k IN c.kids WHERE k.age > 2",
            [{"i": "1", "k": "Ann"}, {"i": "5", "k": "Bo"}],
        ),
        ("SELECT VALUE address FROM c.address", [{"city": "Bonn"}]),
        ("SELECT VALUE COUNT(1) FROM c", [5]),
        ("SELECT VALUE COUNT(c.a) FROM c", [4]),
        ("SELECT VALUE SUM(c.a) FROM c", []),
        ("SELECT VALUE SUM(c.a) FROM c WHERE IS_NUMBER(c.a)", [4]),
        ("SELECT VALUE AVG(c.a) FROM c WHERE IS_NUMBER(c.a)", [2]),
        ("SELECT MIN(c.a) AS low, MAX(c.a) AS high FROM c", [{"low": None, "high": "s"}]),
        ("SELECT VALUE COUNT(1) FROM c WHERE false", [0]),
        ("SELECT VALUE MAX(c.a) FROM c WHERE false", []),
        ("SELECT t, COUNT(1) AS n FROM c JOIN t IN c.tags GROUP BY t", [{"t": "x", "n": 1}, {"t": "y", "n": 2}]),
        ("SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE k FROM k IN c.kids WHERE k.age > 4)", ["5"]),
        (
            "SELECT VALUE ARRAY(SELECT VALUE k.n FROM k IN c.kids) FROM c WHERE IS_ARRAY(c.kids)",
            [["Ann"], ["Bo", "Cy"]],
        ),
        ("SELECT VALUE (SELECT VALUE COUNT(1) FROM k IN c.kids) FROM c WHERE c.a = 3", [2]),
        ("SELECT VALUE m.n FROM c JOIN (SELECT VALUE MAX(k.age) FROM k IN c.kids) AS m", []),
        ("SELECT VALUE m FROM c JOIN (SELECT VALUE MAX(k.age) FROM k IN c.kids) AS m", [3, 5]),
        ("SELECT VALUE s FROM (SELECT VALUE c.id FROM c WHERE c.b) AS s", ["5"]),
        ("SELECT VALUE 1 / 0", []),
        ("SELECT VALUE 7 % -3", [1]),
        ("SELECT VALUE -7 % 3", [-1]),
        ("SELECT VALUE 1 + 'a'", []),
        ("SELECT VALUE [1, undefined, null]", [[1, None]]),
        ("SELECT VALUE true AND undefined", []),
        ("SELECT VALUE false AND undefined", [False]),
        ("SELECT VALUE true OR undefined", [True]),
        ("SELECT VALUE 'a' < 1", []),
        ("SELECT VALUE 0 = 'true'", []),
        ("SELECT VALUE {a: [1, {b: 2}]} = {a: [1, {b: 2.0}]}", [True]),
        ("SELECT VALUE [1] < [2]", []),
        ("SELECT VALUE true = 1", []),
        ("SELECT VALUE undefined ?? null ?? 1", [None]),
        ("SELECT VALUE 1 ? 2 : 3", [3]),
        ("SELECT VALUE -5 >>> 28", [15]),
    ],
)
def test_examples(text: str, expected: list[object]) -> None:
    assert run(text) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("ABS(-2)", 2), ("ROUND(2.5)", 3), ("ROUND(-2.5)", -3), ("ROUND(2.345, 2)", 2.35), ("FLOOR(-1.5)", -2),
        ("POWER(2, 10)", 1024), ("SQRT(-1)", None), ("LOG(0)", None), ("TRUNC(-1.7)", -1), ("INTDIV(-7, 2)", -3),
        ("CONCAT('a', 'b', 'c')", "abc"), ("CONTAINS('abc', 'B', true)", True), ("CONTAINS('abc', 'B')", False),
        ("STARTSWITH('abc', 'ab')", True), ("ENDSWITH('abc', 'BC', true)", True), ("INDEX_OF('abcb', 'b', 2)", 3),
        ("INDEX_OF('abc', 'z')", -1), ("LEFT('abc', 2)", "ab"), ("RIGHT('abc', 2)", "bc"), ("LENGTH('äb')", 2),
        ("SUBSTRING('abcdef', 1, 3)", "bcd"), ("REPLACE('aXbX', 'X', '-')", "a-b-"), ("UPPER('a')", "A"),
        ("REVERSE('abc')", "cba"), ("TRIM('  a ')", "a"), ("REPLICATE('ab', 3)", "ababab"), ("LOWER(1)", None),
        ("REGEXMATCH('abc', '^A.C$', 'i')", True), ("STRINGTONUMBER('1.5')", 1.5), ("STRINGTONUMBER('x')", None),
        ("STRINGTOARRAY('[1, 2]')", [1, 2]), ("STRINGSPLIT('a,b', ',')", ["a", "b"]),
        ("STRINGJOIN(['a', 'b'], '-')", "a-b"),
        ("TOSTRING({a: 1})", '{"a":1}'), ("STRINGEQUALS('A', 'a', true)", True),
        ("ARRAY_CONTAINS([1, {a: 1, b: 2}], {a: 1}, true)", True), ("ARRAY_CONTAINS([1, {a: 1, b: 2}], {a: 1})", False),
        ("ARRAY_LENGTH([1, 2])", 2), ("ARRAY_SLICE([1, 2, 3], -2, 1)", [2]), ("ARRAY_CONCAT([1], [2])", [1, 2]),
        ("SETINTERSECT([1, 2, 2], [2, 3])", [2]), ("SETUNION([1, 2], [2, 3])", [1, 2, 3]),
        ("SETDIFFERENCE([1, 2], [2])", [1]),
        ("IS_INTEGER(2.0)", True), ("IS_PRIMITIVE(null)", True), ("IS_STRING(undefined)", False),
        ("IIF(1 = 1, 'y', 'n')", "y"),
        ("DATETIMEADD('month', 1, '2026-01-31T10:00:00.0000000Z')", "2026-02-28T10:00:00.0000000Z"),
        ("DATETIMEDIFF('hour', '2026-01-01T00:59:00Z', '2026-01-01T01:00:00Z')", 1),
        ("DATETIMEPART('ms', '2026-01-01T00:00:00.1234567Z')", 123),
        ("DATETIMETOTIMESTAMP('1970-01-02T00:00:00Z')", 86_400_000),
        ("TIMESTAMPTODATETIME(86400000)", "1970-01-02T00:00:00.0000000Z"),
        ("DATETIMEBIN('2026-01-01T10:44:00Z', 'minute', 30)", "2026-01-01T10:30:00.0000000Z"),
        ("DATETIMEFROMPARTS(2026, 2, 30)", None), ("GETCURRENTTIMESTAMP()", 1_700_000_000_000),
        ("INTBITLEFTSHIFT(3, 2)", 12), ("INTBITLEFTSHIFT(1, 63)", -(2**63)), ("INTBITLEFTSHIFT(1, 64)", 0),
        ("INTBITLEFTSHIFT(1, 1000000000000000)", 0), ("INTBITRIGHTSHIFT(-8, 1000000000000000)", -1),
        ("INTADD(9223372036854775807, 1)", -(2**63)), ("SQUARE(10000000000)", 1e20),
        ("SQUARE(SQUARE(SQUARE(SQUARE(SQUARE(SQUARE(SQUARE(1000)))))))", None),
        ("STRINGTONUMBER('1e999')", None), ("STRINGTONUMBER('NaN')", None), ("STRINGTOARRAY('[1e999]')", None),
    ],
)  # fmt: skip
def test_functions(call: str, expected: object) -> None:
    assert run(f"SELECT VALUE {call}") == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT VALUE d.id FROM c", "Identifier 'd' could not be resolved"),
        ("SELECT * FROM c WHERE c.id = @id", "@id"),
        ("SELECT VALUE NOSUCH(1)", "'NOSUCH' is not a recognized built-in function name"),
        ("SELECT VALUE ABS(1, 2)", "takes 1 to 1 arguments"),
        ("SELECT VALUE 1e999", "The number 1e999 is beyond"),
        (f"SELECT VALUE {'9' * 5000}", "The number 9999"),
        ("SELECT * FROM c JOIN t IN c.tags", "single input set"),
        ("SELECT * FROM c WHERE COUNT(1) > 1", "not allowed here"),
        ("SELECT TOP -1 * FROM c", "incorrect syntax"),
        ("SELECT TOP @n * FROM c", "TOP has undefined"),
        ("SELECT c.a, c.a FROM c", "two properties of the name 'a'"),
        ("SELECT c.a, COUNT(1) AS n FROM c GROUP BY c.a ORDER BY c.a", "GROUP BY and ORDER BY"),
        ("SELECT VALUE d FROM (SELECT VALUE c FROM c ORDER BY c.a) AS d", "'ORDER BY' is not supported in subqueries"),
        ("SELECT ARRAY(SELECT VALUE k FROM k IN c.kids OFFSET 0 LIMIT 1) AS k FROM c", "SC2204"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE k FROM k IN c.kids ORDER BY k.age)", "SC2202"),
    ],
)
def test_what_makes_no_sense_is_said(text: str, said: str) -> None:
    with pytest.raises(BadRequestError, match=said):
        run(text)


HUGE = 10**400
"""JSON may have it, and no float does."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT VALUE @huge", [HUGE]),
        ("SELECT VALUE @huge > 1e308", [True]),
        ("SELECT VALUE @huge + 1", []),
        ("SELECT VALUE @huge * 1.5", []),
        ("SELECT VALUE INTADD(@huge, 1)", [(HUGE + 1 + 2**63) % 2**64 - 2**63]),
        ("SELECT VALUE LEFT('abc', @huge)", ["abc"]),
        ("SELECT VALUE DATETIMEADD('day', @huge, '2026-01-01T00:00:00Z')", []),
        ("SELECT VALUE SUM(n) FROM n IN c.numbers", []),
        ("SELECT VALUE AVG(n) FROM n IN c.numbers", []),
        ("SELECT VALUE SUM(n) FROM n IN c.numbers WHERE n > 1", []),
        ("SELECT VALUE AVG(n) FROM n IN c.numbers WHERE n > 1", []),
        ("SELECT VALUE MAX(n) FROM n IN c.numbers", [HUGE]),
    ],
)
def test_no_number_is_too_large_to_be_asked_for(text: str, expected: list[object]) -> None:
    assert run(text, [{"id": "1", "numbers": [0.5, HUGE]}], huge=HUGE) == expected


def test_parameters_take_the_place_of_values() -> None:
    assert run("SELECT VALUE c.id FROM c WHERE c.a = @a OR ARRAY_CONTAINS(@ids, c.id)", a=3, ids=["2"]) == ["2", "5"]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.5]), st.sampled_from("abc")
)
DOCUMENTS = st.lists(
    st.fixed_dictionaries({}, optional={"x": SCALARS, "y": SCALARS, "t": st.lists(SCALARS, max_size=3)}), max_size=12
).map(lambda found: [{**document, "id": str(number)} for number, document in enumerate(found)])
MISSING = object()


def kind(value: object) -> int:
    """The order of types, written down apart from the code under test."""
    kinds = [
        value is MISSING,
        value is None,
        isinstance(value, bool),
        isinstance(value, int | float),
        isinstance(value, str),
    ]
    return next(i for i, is_it in enumerate(kinds) if is_it and not (i == 3 and kinds[2]))


@settings(deadline=None)
@given(DOCUMENTS, SCALARS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), st.booleans())
def test_filters_are_those_of_plain_python(documents: list[Document], scalar: Any, symbol: str, negated: bool) -> None:
    tests = {
        "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    }  # fmt: skip

    def holds(document: Document) -> bool:
        value = document.get("x", MISSING)
        if value is MISSING:
            return False
        if kind(value) != kind(scalar):
            # Equality with null is decided for every type; all else across types is undefined.
            return symbol in ("=", "!=") and None in (value, scalar) and (symbol == "!=") != negated
        if value is None:
            return (symbol in ("=", "<=", ">=")) != negated
        return bool(tests[symbol](value, scalar)) != negated

    condition = f"NOT (c.x {symbol} @v)" if negated else f"c.x {symbol} @v"
    expected = [document["id"] for document in documents if holds(document)]
    assert run(f"SELECT VALUE c.id FROM c WHERE {condition}", documents or [{}], v=scalar) == expected


@settings(deadline=None)
@given(DOCUMENTS.filter(bool), st.booleans(), st.booleans())
def test_order_by_is_that_of_plain_python(documents: list[Document], first: bool, second: bool) -> None:
    def key(document: Document, name: str) -> tuple[int, Any]:
        value = document.get(name, MISSING)
        return kind(value), 0 if kind(value) < 2 else value

    expected = sorted(documents, key=lambda d: key(d, "y"), reverse=second)
    expected = sorted(expected, key=lambda d: key(d, "x"), reverse=first)
    text = f"SELECT VALUE c.id FROM c ORDER BY c.x {'DESC' if first else 'ASC'}, c.y {'DESC' if second else 'ASC'}"
    assert run(text, documents) == [document["id"] for document in expected]


@settings(deadline=None)
@given(DOCUMENTS.filter(bool))
def test_groups_and_joins_are_those_of_plain_python(documents: list[Document]) -> None:
    counts: dict[tuple[int, Any], int] = {}
    for document in documents:
        for tag in document.get("t", []):
            counts[kind(tag), tag] = counts.get((kind(tag), tag), 0) + 1
    found: list[Any] = run("SELECT t, COUNT(1) AS n FROM c JOIN t IN c.t GROUP BY t", documents)
    assert {(kind(group["t"]), group["t"]): group["n"] for group in found} == counts
