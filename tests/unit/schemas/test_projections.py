"""Which version of a projection is live."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.projections import (
    PROJECTIONS_OF_VERSIONS,
    DamagedVersionError,
    LiveVersionDocument,
    container_of,
    live_version,
    version_id,
)


@pytest.mark.parametrize("projection", PROJECTIONS_OF_VERSIONS)
def test_without_a_document_the_first_version_is_live(projection: str) -> None:
    assert live_version(projection, None) == LiveVersionDocument(id=projection, version=1, shelves=0)


def test_a_document_of_an_earlier_release_is_read() -> None:
    found = {"id": "library", "version": 1, "shelves": 4, "_etag": '"1"', "_rid": "x"}
    assert live_version("library", found) == LiveVersionDocument(id="library", version=1, shelves=4)


@pytest.mark.parametrize("projection", PROJECTIONS_OF_VERSIONS)
def test_a_document_that_is_gone_is_not_the_first_version_once_there_are_others(projection: str) -> None:
    with pytest.raises(DamagedVersionError, match=f"{projection} is live is not known: .* is gone"):
        live_version(projection, None, {"id": version_id(projection, 1)})


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"id": "songs"},
        {"id": "songs", "version": "2"},
        {"id": "songs", "version": 0},
        {"id": "songs", "version": -1},
        {"id": "songs", "version": 2.5},
        {"id": "songs", "version": True},
        {"id": "songs", "version": None},
        {"id": "songs", "version": 10**9},
        {"id": "songs", "version": 2, "shelves": -1},
        {"id": "songs", "version": [2]},
        {"id": "library", "version": 2, "shelves": 4},
    ],
)
def test_a_damaged_document_says_so(found: dict[str, Any]) -> None:
    with pytest.raises(
        DamagedVersionError, match=r"songs is live is not known: .* is damaged .* projection switch songs"
    ):
        live_version("songs", found)


@pytest.mark.parametrize("shelves", [{}, {"shelves": 0}])
def test_libraries_need_shelves(shelves: dict[str, int]) -> None:
    with pytest.raises(DamagedVersionError, match="no shelves"):
        live_version("library", {"id": "library", "version": 2, **shelves})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(found=st.dictionaries(st.sampled_from(["id", "version", "shelves", "other"]), _JSON | st.just("songs")))
def test_any_document_is_a_version_or_damaged(found: dict[str, Any]) -> None:
    try:
        live = live_version("songs", found)
    except DamagedVersionError:
        return
    assert (live.id, live.version) == (found["id"], found["version"])
    assert live.version >= 1


def test_versions_have_containers_of_their_own() -> None:
    assert [container_of(one, 1) for one in PROJECTIONS_OF_VERSIONS] == ["charts", "plays", "library-shelves", "songs"]
    assert [container_of(one, 12) for one in PROJECTIONS_OF_VERSIONS] == [
        "charts-v12",
        "plays-v12",
        "library-shelves-v12",
        "songs-v12",
    ]
