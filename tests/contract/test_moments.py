"""The ends of time, on every route that takes a moment; numbers that no number of ours is as large as."""

import json
from typing import Any

import httpx
import pytest

from songline.projections.http.numbers import DECIMAL_RULE, WHOLE_RULE
from songline.schemas.rules import MOMENT_RULE
from tests.support.published_document import openapi_document

HISTORY, PLAYS = "/v1/charts/top/1h/history", "/v1/songs/song-1/plays"
ENDS = [
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T00:00:00+14:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00-14:00",
    "0001-01-02T00:00:00Z",
    "0999-12-31T12:00:00Z",
    "10000-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "-1",
    "0",
    "9" * 30,
    "1e400",
    "nan",
    "inf",
    "2026-02-30T00:00:00Z",
    "2026-11-22T23:59:60Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T12:00:00+25:00",
    "",
    "\x00",
    "never",
]


@pytest.mark.parametrize("moment", ENDS)
def test_the_ends_of_time_are_refused_or_looked_up(web: httpx.Client, moment: str) -> None:
    for path, params in (
        (HISTORY, {"until": moment}),
        (HISTORY, {"since": moment}),
        (HISTORY, {"since": moment, "until": moment}),
        (HISTORY, {"since": "0001-01-01T00:00:00Z", "until": moment}),
        (HISTORY, {"since": moment, "until": "9999-12-31T23:59:59.999999Z"}),
        (PLAYS, {"until": moment}),
        (PLAYS, {"until": moment, "hours": "168"}),
    ):
        answer = web.get(path, params=params)
        assert answer.status_code in (200, 400, 404), (path, params, answer.text)
        if answer.status_code == 400:
            assert answer.json()["errors"][0]["field"] in params


def test_a_time_that_begins_after_its_end_is_named(web: httpx.Client) -> None:
    answer = web.get(HISTORY, params={"since": "2026-11-21T00:00:00Z", "until": "2026-11-20T00:00:00Z"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "since")
    answer = web.get(HISTORY, params={"until": "0001-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "until")


NUMBERS = ["9" * 30, "9" * 5000, "-1", "1e400", "nan", "inf", "٣", "1_0", "0x1", ""]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/charts/top/1h", "limit"),
        ("/v1/charts/top/1h", "wait"),
        ("/v1/charts/top/1h", "min_position"),
        (HISTORY, "limit"),
        (PLAYS, "hours"),
        ("/v1/songs", "limit"),
        ("/v1/songs", "cursor"),
        ("/v1/users/u/library", "limit"),
        ("/v1/users/u/library", "cursor"),
        ("/v1/users/u/recent", "wait"),
        ("/v1/ingestions", "limit"),
    ],
)
def test_no_number_is_too_strange_to_be_refused(web: httpx.Client, path: str, name: str) -> None:
    for number in NUMBERS:
        answer = web.get(path, params={name: number})
        assert answer.status_code in (200, 400, 404), (number, answer.text)


DOCUMENT = openapi_document()
RULES = {"integer": WHOLE_RULE, "number": DECIMAL_RULE, "date-time": MOMENT_RULE}
VALUES = {"kind": "top", "window": "1h", "song_id": "song-1", "user_id": "user-1", "ingestion_id": "i-1"}


def kinds(schema: dict[str, Any]) -> set[str]:
    """What a parameter is: its types and formats."""
    return {one.get(key, "") for one in (schema, *schema.get("anyOf", [])) for key in ("type", "format")} & set(RULES)


QUERIES = [
    (path.format(**VALUES), one["name"], kind)
    for path, operations in DOCUMENT["paths"].items()
    for one in operations.get("get", {}).get("parameters", [])
    for kind in kinds(one["schema"])
    if one["in"] == "query"
]


def test_every_kind_of_number_is_asked_for() -> None:
    assert {kind for _, _, kind in QUERIES} == set(RULES)
    assert len(QUERIES) >= 14


@pytest.mark.parametrize(("path", "name", "kind"), QUERIES)
def test_what_is_no_number_and_no_moment_is_refused_in_our_words(
    web: httpx.Client, path: str, name: str, kind: str
) -> None:
    for text in ("1_0", "ten", "", "+1", "2026-11-22", "2026-11-22T14:00:00,5Z", "9" * 30):
        answer = web.get(path, params={name: text})
        assert answer.status_code == 400, answer.text
        (fault,) = answer.json()["errors"]
        assert (fault["field"], fault["value"], fault["rule"]) == (name, json.dumps(text), RULES[kind])
