"""Which counts the index answers alone."""

import pytest

from localcloud.cosmos.index_only import is_index_only
from localcloud.cosmos.indexing import DEFAULT_POLICY, IndexingPolicy
from localcloud.cosmos.query import plan
from localcloud.cosmos.query.parser import parse

POLICY = IndexingPolicy(DEFAULT_POLICY | {"excludedPaths": [{"path": "/note/?"}]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT VALUE COUNT(1) FROM c", True),
        ("SELECT COUNT(1) AS n FROM c", True),
        ("SELECT VALUE COUNT('x') FROM c WHERE c.a = 1 AND (c.b.d >= @least OR 'z' < c.e)", True),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.a IN (1, 2) OR c.id != null", True),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.note = 'x'", False),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.a = 1 OR c.note = 'x'", False),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.a = c.b", False),
        ("SELECT VALUE COUNT(1) FROM c WHERE LOWER(c.a) = 'x'", False),
        ("SELECT VALUE COUNT(1) FROM c WHERE NOT (c.a = 1)", False),
        ("SELECT VALUE COUNT(1) FROM c JOIN t IN c.tags", False),
        ("SELECT VALUE COUNT(1) FROM t IN c.tags", False),
        ("SELECT VALUE COUNT(c.a) FROM c", False),
        ("SELECT VALUE SUM(1) FROM c", False),
        ("SELECT COUNT(1) AS n, MAX(c.a) AS most FROM c", False),
        ("SELECT c.a, COUNT(1) AS n FROM c GROUP BY c.a", False),
        ("SELECT VALUE c.a FROM c", False),
        ("SELECT * FROM c", False),
    ],
)
def test_counts_by_indexed_properties_need_no_document(text: str, expected: bool) -> None:
    assert is_index_only(parse(text), POLICY) is expected


def test_nothing_is_counted_by_an_index_that_is_not_there() -> None:
    none = IndexingPolicy({"indexingMode": "none"})
    assert not is_index_only(parse("SELECT VALUE COUNT(1) FROM c WHERE c.a = 1"), none)


def test_a_part_of_a_count_that_a_client_adds_up_is_one_too() -> None:
    planned = plan.make_plan(parse("SELECT VALUE COUNT(1) FROM c"), {}, [], frozenset({"Aggregate"}))
    info = planned["queryInfo"]
    assert isinstance(info, dict)
    assert is_index_only(parse(info["rewrittenQuery"]), POLICY)
