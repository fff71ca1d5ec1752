"""Which form of an answer an `Accept` asks for."""

import pytest

from songline.projections.http.negotiation import CSV, JSON, PARQUET, chosen


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("text/*", CSV),
        ("TEXT/CSV; header=present", CSV),
        ("application/*", JSON),
        ("application/vnd.apache.parquet", PARQUET),
        ("text/csv;q=0.5, application/json;q=0.4", CSV),
        ("text/csv;q=0.5, */*;q=0.8", JSON),
        ("application/json;q=0, */*", CSV),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
        ("image/png", None),
        ("text/csv;q=0", None),
        ("text/csv;q=much", CSV),
    ],
)
def test_the_best_liked_form_is_chosen(accept: str | None, form: str | None) -> None:
    assert chosen(accept) == form
