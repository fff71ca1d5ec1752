"""The query plan: combining what the ranges say gives what one range with everything says."""

import json
from typing import Any

import pytest
from azure.cosmos._execution_context import aggregators
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.query import plan
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.program import compile_query

PYTHON_SDK = frozenset(
    ("Aggregate", "CompositeAggregate", "CountIf", "Distinct", "MultipleOrderBy", "OffsetAndLimit", "OrderBy", "Top")
)
COMBINE: dict[str, Any] = {
    "Count": aggregators._CountAggregator,
    "Sum": aggregators._SumAggregator,
    "Average": aggregators._AverageAggregator,
    "Min": aggregators._MinAggregator,
    "Max": aggregators._MaxAggregator,
}


def plan_of(text: str, supported: frozenset[str] = PYTHON_SDK, **parameters: object) -> dict[str, Any]:
    given_parameters = {f"@{name}": value for name, value in parameters.items()}
    answer: dict[str, Any] = plan.make_plan(parse(text), given_parameters, [], supported)["queryInfo"]  # type: ignore[assignment]
    return answer


def results(text: str, documents: list[dict[str, object]]) -> list[Any]:
    program = compile_query(parse(text), {}, 0)
    found = program.results(row for document in documents for row in program.rows({"": document}))
    return found[program.offset : program.offset + program.limit]


@pytest.mark.parametrize("name", ["COUNT", "SUM", "AVG", "MIN", "MAX"])
@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-100, 100), max_size=5), min_size=1, max_size=4))
def test_partial_aggregates_add_up(name: str, ranges: list[list[int]]) -> None:
    text = f"SELECT VALUE {name}(c.n) FROM c"
    info = plan_of(text)
    combined = COMBINE[info["aggregates"][0]]()
    for numbers in ranges:
        for partials in results(info["rewrittenQuery"], [{"n": number} for number in numbers]):
            for partial in partials:
                if "item" in partial:
                    combined.aggregate(partial["item"])
    whole = results(text, [{"n": number} for numbers in ranges for number in numbers])
    assert combined.get_result() == (pytest.approx(whole[0]) if whole else None)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=1, max_size=3), st.integers(0, 4), st.integers(0, 6))
def test_ordered_ranges_merge(ranges: list[list[int]], offset: int, limit: int) -> None:
    text = f"SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET {offset} LIMIT {limit}"
    info = plan_of(text)
    rows = [row for numbers in ranges for row in results(info["rewrittenQuery"], [{"n": n} for n in numbers])]
    rows.sort(key=lambda row: row["orderByItems"][0]["item"], reverse=True)
    merged = [row["payload"] for row in rows][info["offset"] :][: info["limit"]]
    assert merged == results(text, [{"n": n} for numbers in ranges for n in numbers])


def test_a_plan_says_what_is_left_to_the_client() -> None:
    info = plan_of("SELECT DISTINCT TOP @n c.a FROM c ORDER BY c.a DESC, c.b", n=3)
    assert (info["top"], info["distinctType"], info["orderBy"]) == (3, "Ordered", ["Descending", "Ascending"])
    assert json.loads(json.dumps(info)) == info


def test_duplicates_are_adjacent_only_where_all_that_is_selected_is_sorted_by_first() -> None:
    assert plan_of("SELECT DISTINCT c.a FROM c ORDER BY c.b, c.a")["distinctType"] == "Unordered"
    assert plan_of("SELECT DISTINCT c.a, c.b FROM c ORDER BY c.b, c.a")["distinctType"] == "Ordered"


def test_a_range_does_not_cut_off_rows_before_the_client_has_dropped_duplicates() -> None:
    info = plan_of("SELECT DISTINCT VALUE c.a FROM c ORDER BY c.b OFFSET 0 LIMIT 2")
    found = results(info["rewrittenQuery"], [{"a": n // 3, "b": n} for n in range(6)])
    assert [row["payload"] for row in found] == [0, 0, 0, 1, 1, 1]
    assert (info["offset"], info["limit"]) == (0, 2)


def test_one_sum_has_no_order() -> None:
    info = plan_of("SELECT VALUE SUM(c.a) FROM c ORDER BY c.b")
    assert info["orderBy"] == []
    assert results(info["rewrittenQuery"], [{"a": 1}, {"a": 2}]) == [[{"item": 3}]]


def test_groups_are_rewritten_for_clients_that_can_group() -> None:
    info = plan_of("SELECT c.a, COUNT(1) AS n FROM c GROUP BY c.a", PYTHON_SDK | {"GroupBy", "MultipleAggregates"})
    assert info["groupByAliasToAggregateType"] == {"a": None, "n": "Count"}
    found = results(info["rewrittenQuery"], [{"a": 1}, {"a": 1}])
    assert found == [{"groupByItems": [{"item": 1}], "payload": {"a": 1, "n": {"item": 2}}}]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT c.a, COUNT(1) FROM c GROUP BY c.a",
        "SELECT COUNT(1) AS n, MAX(c.a) AS m FROM c",
        "SELECT VALUE COUNT(1) + 1 FROM c",
    ],
)
def test_a_client_that_cannot_combine_is_told(text: str) -> None:
    with pytest.raises(BadRequestError, match="which the calling client does not support"):
        plan_of(text)
