"""Request units: the published figures, and what never may go wrong with them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.cosmos import charges
from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.indexing import DEFAULT_POLICY, IndexingPolicy

KB = 1024
SIZES = st.integers(0, 2 * KB * KB)


@pytest.mark.parametrize(
    ("charge", "published"),
    [
        (charges.read(KB), 1.0),
        (charges.read(100 * KB), 10.0),
        (charges.insert(KB, 0), 5.5),
        (charges.insert(KB, 3), 8.5),
        (charges.insert(KB, 13), 19.0),
        (charges.replace(KB, 0), 11.0),
        (charges.delete(KB, 3), 8.5),
    ],
)
def test_published_figures(charge: float, published: float) -> None:
    assert charge == pytest.approx(published, rel=0.05)


@settings(deadline=None)
@given(SIZES, SIZES, st.integers(0, 100))
def test_more_costs_more(size: int, more: int, indexed: int) -> None:
    assert charges.read(size) <= charges.read(size + more)
    assert charges.insert(size, indexed) <= charges.insert(size + more, indexed + 1)
    assert charges.replace(size, indexed) == pytest.approx(2 * charges.insert(size, indexed))


@settings(deadline=None)
@given(st.integers(0, 1000), SIZES, st.integers(0, 100), SIZES)
def test_a_query_costs_for_what_it_looks_at_and_what_it_gives(
    scanned: int, size: int, returned: int, answer: int
) -> None:
    least = charges.query(scanned=0, scanned_bytes=0, returned=0, returned_bytes=0)
    assert least > 2
    assert charges.query(scanned=scanned, scanned_bytes=size, returned=returned, returned_bytes=answer) >= least


DOCUMENT: dict[str, object] = {"id": "1", "a": 1, "b": {"c": 2, "d": [3, 4]}, "_etag": "x", "_ts": 1}


@pytest.mark.parametrize(
    ("policy", "indexed"),
    [
        (DEFAULT_POLICY, 5),
        ({"indexingMode": "none"}, 0),
        ({"includedPaths": [{"path": "/a/?"}], "excludedPaths": [{"path": "/*"}]}, 1),
        ({"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": "/b/*"}]}, 2),
        ({"includedPaths": [{"path": "/b/d/[]/?"}], "excludedPaths": [{"path": "/*"}]}, 2),
        ({"includedPaths": [{"path": "/b/*"}], "excludedPaths": [{"path": "/*"}, {"path": "/b/c/?"}]}, 2),
    ],
)
def test_indexing_policies_say_which_values_count(policy: dict[str, object], indexed: int) -> None:
    assert IndexingPolicy(policy).count(DOCUMENT) == indexed


@pytest.mark.parametrize(
    "policy", [{"indexingMode": "some"}, {"includedPaths": [{}]}, {"includedPaths": [{"path": "/a"}]}]
)
def test_bad_policies_are_refused(policy: dict[str, object]) -> None:
    with pytest.raises(BadRequestError):
        IndexingPolicy(policy)
