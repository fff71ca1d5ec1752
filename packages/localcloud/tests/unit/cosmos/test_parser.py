"""Query text to tree and back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.syntax import Binary, Constant, Expression, Member, Name, Unary

NAMES = st.sampled_from(["c", "plays", "order", "value", "array", "selected", "ascii", "inner"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2**53),
    st.floats(0, 1e15, allow_nan=False).filter(lambda x: not x.is_integer()),
    st.text(st.characters(exclude_categories=["Cs"])),
)


def expressions() -> st.SearchStrategy[Expression]:
    leaves: st.SearchStrategy[Expression] = st.one_of(
        SCALARS.map(Constant), st.just(Name("c")), NAMES.map(lambda name: syntax.Parameter("@" + name))
    )

    def wider(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        several = st.lists(inner, min_size=1, max_size=3).map(tuple)
        operators = [
            "=",
            "!=",
            "<",
            "<=",
            ">",
            ">=",
            "AND",
            "OR",
            "+",
            "-",
            "*",
            "/",
            "%",
            "||",
            "??",
            "&",
            "|",
            "^",
            "<<",
        ]
        return st.one_of(
            st.builds(lambda name: Member(Name("c"), Constant(name)), NAMES),
            st.builds(Binary, st.sampled_from(operators), inner, inner),
            st.builds(Unary, st.sampled_from(["NOT", "-", "~"]), inner),
            st.builds(syntax.Conditional, inner, inner, inner),
            st.builds(syntax.In, inner, several, st.booleans()),
            st.builds(syntax.Between, inner, inner, inner, st.booleans()),
            st.builds(syntax.Like, inner, inner, st.none() | inner, st.booleans()),
            st.builds(syntax.Call, st.sampled_from(["UPPER", "COUNT", "ARRAY_LENGTH"]), several),
            several.map(syntax.ArrayOf),
            st.lists(st.tuples(st.text("abc", min_size=1), inner), max_size=2).map(lambda p: syntax.ObjectOf(tuple(p))),
            st.builds(
                lambda form, value: syntax.Subquery(form, syntax.Query((syntax.SelectItem(value),), value=True)),
                st.sampled_from(["EXISTS", "ARRAY", ""]),
                inner,
            ),
        )

    return st.recursive(leaves, wider, max_leaves=8)


@settings(deadline=None)
@given(expressions(), st.lists(st.tuples(expressions(), st.booleans()), max_size=2), st.booleans())
def test_the_text_of_a_tree_parses_to_the_tree(
    where: Expression, sort: list[tuple[Expression, bool]], distinct: bool
) -> None:
    query = syntax.Query(
        items=(syntax.SelectItem(Name("c"), "it"),),
        distinct=distinct,
        sources=(
            syntax.FromSource("c", Name("root")),
            syntax.FromSource("t", Member(Name("c"), Constant("tags")), iterated=True),
        ),
        where=where,
        order_by=tuple(syntax.SortItem(expression, descending) for expression, descending in sort),
        offset=Constant(1),
        limit=syntax.Parameter("@limit"),
    )
    assert parse(syntax.text_of_query(query)) == query


def value_of(text: str) -> Expression:
    items = parse(f"SELECT VALUE {text} FROM c").items
    assert items is not None
    return items[0].expression


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("NOT c.a = 1 AND c.b = 2", "(NOT (c.a = 1)) AND (c.b = 2)"),
        ("c.a = 1 OR c.b = 2 AND c.d = 3", "(c.a = 1) OR ((c.b = 2) AND (c.d = 3))"),
        ("c.a BETWEEN 1 AND 2 AND c.b", "(c.a BETWEEN 1 AND 2) AND c.b"),
        ("c.a NOT IN (1, 2) OR true", "(c.a NOT IN (1, 2)) OR true"),
        ("c.a || 'x' = 'yx'", "(c.a || 'x') = 'yx'"),
        ("c.a ?? c.b ? 1 : 2", "(c.a ?? c.b) ? 1 : 2"),
        ("c.a <> 1", "c.a != 1"),
        ("c['a b'].d[0]", "((c['a b']).d)[0]"),
        ("c.value.order.select", "c['value']['order']['select']"),
        ("-c.a + 1", "(-c.a) + 1"),
        ("1 | 2 >> 1", "1 | (2 >> 1)"),
        ("'it\\'s \\u00e9'", '"it\'s é"'),
        ("lower(c.a)", "LOWER(c.a)"),
    ],
)
def test_precedence_and_spelling(text: str, meaning: str) -> None:
    assert value_of(text) == value_of(meaning)


@pytest.mark.parametrize(
    ("text", "near", "start"),
    [
        ("SELECT * FRO c", "'FRO'", 9),
        ("SELEC * FROM c", "'SELEC'", 0),
        ("SELECT * FROM", "the end of the query", 13),
        ("SELECT * FROM c WHERE c.a ==", "'='", 27),
        ("SELECT * FROM c WHERE c.a = 'open", '"\'"', 28),
        ("SELECT *\nFROM c\nWHERE (c.a", "the end of the query", 26),
        ("", "the end of the query", 0),
    ],
)
def test_a_syntax_error_points_at_its_place(text: str, near: str, start: int) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(text)
    detail = json.loads(caught.value.message.removeprefix("Message: "))["errors"][0]
    assert detail["location"]["start"] == start
    assert near in detail["message"]


@pytest.mark.parametrize("text", ["SELECT udf.tax(c.a) FROM c", "SELECT * FROM (SELECT VALUE 1)"])
def test_what_cannot_be_done_is_said(text: str) -> None:
    with pytest.raises(BadRequestError):
        parse(text)
