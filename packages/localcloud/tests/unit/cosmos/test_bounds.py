"""Narrowing by a filter never loses a match."""

from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.bounds import bounds, combinations
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.program import compile_query

ATOMS = st.sampled_from(
    [
        "c.id = 'a'",
        "'b' = c.id",
        "c.id IN ('a', 'c')",
        "c.id = @p",
        "c.x = 1",
        "c.x > 1",
        "NOT c.id = 'a'",
        "c.id NOT IN ('a')",
    ]
)
FILTERS = st.recursive(
    ATOMS, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner), max_leaves=6
)


@settings(deadline=None)
@given(FILTERS, st.sampled_from("abcd"))
def test_every_match_is_within_the_bounds(condition: str, parameter: str) -> None:
    query = parse(f"SELECT * FROM c WHERE {condition}")
    found = bounds(query, ("id",), {"@p": parameter})
    program = compile_query(query, {"@p": parameter}, 0)
    for id_ in "abcd":
        for x in (1, 2):
            if any(True for _ in program.rows({"": {"id": id_, "x": x}})):
                assert found is None or id_ in found


def test_examples() -> None:
    def of(condition: str) -> object:
        return bounds(parse(f"SELECT * FROM root r WHERE {condition}"), ("a", "b"), {"@p": 5})

    assert of("r.a.b = 1 AND r.c = 2") == (1,)
    assert of("r.a.b = @p OR r.a['b'] = 2") == (5, 2)
    assert of("r.a.b = 1 OR r.c = 2") is None
    assert of("r.a.b = r.c") is None
    assert of("NOT r.a.b = 1") is None


def test_a_joined_alias_is_not_the_document() -> None:
    assert bounds(parse("SELECT VALUE t FROM c JOIN t IN c.tags WHERE t.id = 'a'"), ("id",), {}) is None
    assert bounds(parse("SELECT VALUE c FROM c IN x.tags WHERE c.id = 'a'"), ("id",), {}) is None


def test_combinations_need_every_path() -> None:
    query: syntax.Query = parse("SELECT * FROM c WHERE c.a = 1 AND c.b IN (2, 3)")
    assert combinations(query, (("a",), ("b",)), {}) == [(1, 2), (1, 3)]
    assert combinations(query, (("a",), ("z",)), {}) is None
