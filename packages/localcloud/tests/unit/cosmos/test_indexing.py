"""What an indexing policy includes, and what can be sorted by."""

from typing import Any

import pytest

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.indexing import DEFAULT_POLICY, IndexingPolicy
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.sort_index import check_sort_index

SOME: dict[str, Any] = {
    "includedPaths": [{"path": "/rank/?"}, {"path": "/deep/*"}, {"path": "/tags/[]/name/?"}, {"path": "/list/[]/?"}],
    "excludedPaths": [{"path": "/*"}, {"path": "/deep/down/?"}],
    "compositeIndexes": [
        [{"path": "/a", "order": "ascending"}, {"path": "/b/c", "order": "descending"}],
        "no index",
        [{"path": "/'open"}, {"path": "/a"}],
    ],
}
SORTED = {
    "c.rank": True,
    "c['rank'] DESC": True,
    "c.id": True,
    "c._ts": True,
    "c.other": False,
    "c.rank.below": False,
    "c.deep": True,
    "c.deep.far.away": True,
    "c.deep.down": False,
    "c.deep.down.below": True,
    "c.list[0]": True,
    "c.tags[2].name": True,
    "c.tags[2].size": False,
    "c.rank, c.other": False,
    "c.rank, c.deep.x DESC": True,
    "c.a": False,
    "c.a, c.b.c DESC": True,
    "c.a DESC, c.b.c ASC": True,
    "c.a, c.b.c": False,
    "c.b.c DESC, c.a": False,
}


def can_sort(text: str, policy: dict[str, Any]) -> bool:
    try:
        check_sort_index(parse(text), IndexingPolicy(policy))
    except BadRequestError:
        return False
    return True


@pytest.mark.parametrize("order", SORTED)
def test_only_indexed_paths_can_be_sorted_by(order: str) -> None:
    assert can_sort(f"SELECT * FROM c ORDER BY {order}", SOME) is SORTED[order]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT VALUE t FROM c JOIN t IN c.tags ORDER BY t.name", True),
        ("SELECT VALUE t FROM c JOIN t IN c.tags ORDER BY t.size", False),
        ("SELECT VALUE t FROM c JOIN d IN c.deep JOIN t IN d.down ORDER BY t.size", True),
        ("SELECT VALUE t FROM t IN c.tags ORDER BY t.name", True),
        ("SELECT VALUE t FROM t IN c.tags ORDER BY t.size", False),
        ("SELECT VALUE d FROM c.deep AS d ORDER BY d.x", True),
        ("SELECT VALUE d FROM c.other AS d ORDER BY d.x", False),
        ("SELECT VALUE s FROM c JOIN (SELECT VALUE c.other) AS s ORDER BY s", True),
        ("SELECT * FROM c WHERE c.other = 1", True),
    ],
)
def test_aliases_stand_for_paths(text: str, expected: bool) -> None:
    assert can_sort(text, SOME) is expected


def test_the_default_policy_leaves_out_etags_alone() -> None:
    assert can_sort("SELECT * FROM c ORDER BY c.any.where", DEFAULT_POLICY)
    assert not can_sort("SELECT * FROM c ORDER BY c._etag", DEFAULT_POLICY)


def test_nothing_can_be_sorted_by_without_an_index() -> None:
    for order in ("c.id", "c._ts", "c.x", "c.x, c.y"):
        assert not can_sort(f"SELECT * FROM c ORDER BY {order}", {"indexingMode": "none"})
