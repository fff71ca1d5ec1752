"""What the doctor says about the size of the libraries' shelves."""

import pytest

from songline.doctor.facts import FailedQuestion, ShelfFacts
from songline.doctor.shelves import named_keys, shelf_findings

GB = 1024 * 1024


@pytest.mark.parametrize(
    ("facts", "status", "seen"),
    [
        (ShelfFacts(0, 4, {}), "ok", "each of 4 shelves, about 0.0 GB, 0% of what a logical partition takes"),
        (ShelfFacts(55 * GB, 4, {}), "ok", "each of 4 shelves, about 13.8 GB, 69%"),
        (ShelfFacts(57 * GB, 4, {}), "warn", "each of 4 shelves, about 14.2 GB, 71%"),
        (ShelfFacts(20 * GB, 4, {"v1-0": 3 * GB, "v1-2": 19 * GB}), "fail", "shelf v1-2 19.0 GB, 95%"),
        # What is named may be as of some time ago.
        (ShelfFacts(40 * GB, 2, {"v1-2": 2 * GB}), "fail", "each of 2 shelves, about 20.0 GB, 100%"),
        (FailedQuestion("no answer within 15 s"), "warn", "their size can't be read: no answer within 15 s"),
    ],
)
def test_a_shelf_that_is_nearly_full_is_told(facts: ShelfFacts | FailedQuestion, status: str, seen: str) -> None:
    (finding,) = shelf_findings(facts)
    assert (finding.status, finding.check) == (status, "shelves of libraries")
    assert finding.seen.startswith(seen)
    assert bool(finding.mend) == (status != "ok")


def test_nothing_is_said_while_there_are_no_shelves() -> None:
    assert list(shelf_findings(None)) == []


def test_the_keys_that_the_service_names_are_read() -> None:
    statistics = [
        {"id": "0", "sizeInKB": 900, "partitionKeys": [{"partitionKey": ["v1-3"], "sizeInKB": 700}]},
        {"id": "1", "sizeInKB": 10, "partitionKeys": []},
        {"id": "2"},
    ]
    assert named_keys({"id": "library-shelves", "statistics": statistics}) == {"v1-3": 700}
    assert named_keys({"id": "library-shelves"}) == {}
