"""What the doctor says of versions."""

from datetime import UTC, datetime, timedelta

import pytest

from songline.doctor.facts import FailedQuestion, VersionFacts
from songline.doctor.versions import trending_group, version_state_findings
from songline.schemas.projections import DamagedVersionError, VersionDocument, VersionState, live_version, version_id

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def version(number: int, state: VersionState, days: int) -> VersionDocument:
    since = NOW - timedelta(days=days)
    return VersionDocument(
        id=version_id("songs", number),
        projection="songs",
        version=number,
        state=state,
        since=since,
        started_at=since,
    )


@pytest.mark.parametrize(
    ("states", "group"),
    [
        (None, "songline-trending"),
        (FailedQuestion("401"), "songline-trending"),
        (VersionFacts({"songs": 2}, (), (), NOW), "songline-trending"),
        (VersionFacts({"charts": 1}, (), (), NOW), "songline-trending"),
        (VersionFacts({"charts": 3}, (), (), NOW), "songline-trending-v3"),
    ],
)
def test_the_group_is_that_of_the_live_charts(states: VersionFacts | FailedQuestion | None, group: str) -> None:
    assert trending_group(states) == group


def test_live_versions_are_one_line() -> None:
    (found,) = version_state_findings(VersionFacts({"charts": 1, "songs": 2}, (), (version(1, "former", 1),), NOW))
    assert (found.status, found.seen) == ("ok", "live: charts 1, songs 2")


@pytest.mark.parametrize(
    ("state", "seen", "mend"),
    [
        ("former", "version 3 of songs was live before, 9 days ago", "songline projection drop songs 3"),
        ("ready", "version 3 of songs is built and not live, 9 days old", "go on with `songline rebuild songs`"),
        ("building", "version 3 of songs was begun and is not built, 9 days old", "songline projection drop songs 3"),
    ],
)
def test_what_is_left_over_is_told(state: VersionState, seen: str, mend: str) -> None:
    found = list(version_state_findings(VersionFacts({"songs": 2}, (), (version(3, state, 9),), NOW)))
    assert (found[0].status, found[0].seen) == ("warn", seen)
    assert mend in found[0].mend


def test_a_dropped_version_is_no_leftover_and_needs_no_container() -> None:
    facts = VersionFacts({"songs": 2}, (), (version(1, "dropped", 90),), NOW)
    assert [one.status for one in version_state_findings(facts)] == ["ok"]
    assert facts.dropped == {"songs"}


def test_a_damaged_live_document_fails() -> None:
    with pytest.raises(DamagedVersionError) as raised:
        live_version("songs", {"id": "songs", "version": "2"})
    (found,) = version_state_findings(VersionFacts({}, (str(raised.value),), (), NOW))
    assert (found.status, "damaged" in found.seen) == ("fail", True)
    assert "songline projection switch songs N --force" in found.mend


def test_a_question_that_failed_is_told_elsewhere() -> None:
    assert not list(version_state_findings(FailedQuestion("away")))
