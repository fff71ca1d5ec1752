"""A scope is global, a region or a genre, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.projections.charts.queries import is_scope, read_scope
from songline.schemas.regions import REGIONS


@pytest.mark.parametrize(
    "scope", ["global", "region:DE", "region:ZW", "genre:indie", "genre:unknown", "genre:drum & bass"]
)
def test_what_names_a_scope(scope: str) -> None:
    assert is_scope(scope)


@pytest.mark.parametrize(
    "scope",
    [
        *("", "global:", "Global", " global", "user:7"),
        *("region", "region:", "region:de", "region:XX", "region:DE\n", "region:DE:BY"),
        *("genre", "genre:", "genre:Indie", "genre:indie\n", "genre:" + "x" * 65, "genre:a/b"),
    ],
)
def test_what_does_not(scope: str) -> None:
    assert not is_scope(scope)


@pytest.mark.parametrize(
    ("asked", "scope"),
    [
        ("genre:Джаз", "genre:джаз"),
        ("genre:джаз", "genre:джаз"),
        ("genre:Indie", "genre:indie"),
        ("genre:drum & bass", "genre:drum & bass"),
        # The songs whose genre nobody has said have a chart of that name.
        ("genre:unknown", "genre:unknown"),
        ("genre:Unknown", "genre:unknown"),
        ("global", "global"),
        ("region:DE", "region:DE"),
        *((text, None) for text in ("genre:", "genre:!!!", "genre:a/b", "genre:" + "x" * 65, "genre", "region:de", "")),
    ],
)
def test_a_genre_is_asked_for_by_any_of_its_spellings(asked: str, scope: str | None) -> None:
    assert read_scope(asked) == scope
    assert scope is None or is_scope(scope)


@given(st.text())
def test_any_region_is_a_country(code: str) -> None:
    assert is_scope(f"region:{code}") == (code in REGIONS)
