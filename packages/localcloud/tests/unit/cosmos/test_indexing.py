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
        [{"path": "/rank"}, {"path": "/deep/x"}, {"path": "/id"}],
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
    "c.rank, c.deep.x DESC": False,
    "c.rank, c.deep.x": False,
    "c.rank, c.deep.x, c.id": True,
    "c.rank DESC, c.deep.x DESC, c.id DESC": True,
    "c.rank DESC, c.deep.x, c.id DESC": False,
    "c.deep.x, c.rank, c.id": False,
    "c.id, c._ts": False,
    "c.rank, c.rank": False,
    "LOWER(c.rank)": False,
    "c.rank + 1": False,
    "-c.rank": False,
    "1": False,
    "'rank'": False,
    "@rank": False,
    "c[@rank]": True,
    "c[@other]": False,
    "c[@missing]": False,
    "c[c.rank]": False,
    "IS_DEFINED(c.rank)": False,
    "(c.rank)": True,
    "d.rank": False,
    "c.a": False,
    "c.a, c.b.c DESC": True,
    "c.a DESC, c.b.c ASC": True,
    "c.a, c.b.c": False,
    "c.b.c DESC, c.a": False,
}


def can_sort(text: str, policy: dict[str, Any]) -> bool:
    try:
        check_sort_index(parse(text), IndexingPolicy(policy), {"@rank": "rank", "@other": "other"})
    except BadRequestError:
        return False
    return True


@pytest.mark.parametrize("order", SORTED)
def test_only_indexed_paths_can_be_sorted_by(order: str) -> None:
    assert can_sort(f"SELECT * FROM c ORDER BY {order}", SOME) is SORTED[order]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT VALUE t FROM c JOIN t IN c.tags ORDER BY t.name", False),
        ("SELECT VALUE t FROM c JOIN t IN c.tags ORDER BY c.rank", True),
        ("SELECT VALUE t FROM c JOIN t IN c.tags ORDER BY c.rank, t.name", False),
        ("SELECT VALUE t FROM c JOIN d IN c.deep JOIN t IN d.down ORDER BY d.size", False),
        ("SELECT VALUE t FROM t IN c.tags ORDER BY t.name", True),
        ("SELECT VALUE t FROM t IN c.tags ORDER BY t.size", False),
        ("SELECT VALUE d FROM c.deep AS d ORDER BY d.x", True),
        ("SELECT VALUE d FROM c.other AS d ORDER BY d.x", False),
        ("SELECT VALUE s FROM c JOIN (SELECT VALUE c.other) AS s ORDER BY s", False),
        ("SELECT VALUE d.rank FROM (SELECT VALUE c FROM c) AS d ORDER BY d.rank", False),
        ("SELECT * FROM c WHERE c.other = 1", True),
    ],
)
def test_aliases_stand_for_paths(text: str, expected: bool) -> None:
    assert can_sort(text, SOME) is expected


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("c.other", "order-by item is excluded: '/other/?'"),
        ("c.rank, c.deep.x DESC", "(/rank ascending, /deep/x descending)"),
        ("t.name", "correlated collections"),
        ("LOWER(c.rank)", "could not be mapped to a document path: LOWER("),
    ],
)
def test_a_refusal_says_what_is_missing(order: str, said: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        check_sort_index(parse(f"SELECT c FROM c JOIN t IN c.tags ORDER BY {order}"), IndexingPolicy(SOME), {})
    assert said in caught.value.message


def test_the_default_policy_leaves_out_etags_alone() -> None:
    assert can_sort("SELECT * FROM c ORDER BY c.any.where", DEFAULT_POLICY)
    assert not can_sort("SELECT * FROM c ORDER BY c._etag", DEFAULT_POLICY)


def test_nothing_can_be_sorted_by_without_an_index() -> None:
    for order in ("c.id", "c._ts", "c.x", "c.x, c.y"):
        assert not can_sort(f"SELECT * FROM c ORDER BY {order}", {"indexingMode": "none"})
