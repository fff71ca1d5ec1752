"""What the doctor makes of the facts."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from songline.cloud import kafka
from songline.cloud.cosmos import Container
from songline.doctor.facts import (
    DeadLetterFacts,
    DoctorFacts,
    FailedQuestion,
    LibraryVersionFacts,
    MissingEntity,
    StoredContainer,
)
from songline.doctor.finding import Finding
from songline.doctor.findings import findings
from songline.processes.entities import QUEUE, QueueDeclaration
from songline.schemas import channels
from songline.schemas.progress_report import widened
from songline.schemas.projections import LiveVersionDocument, MigrationDocument
from tests.support import az_commands

CONTAINERS = (Container("charts", "/chart", ("/asOf/?",)),)
HUBS = {
    **dict.fromkeys(channels.HUBS, 4),
    channels.TRENDING_TOPS: 1,
}
LIVE = LiveVersionDocument(id="library", version=1, shelves=4)
WELL = DoctorFacts(
    hubs=HUBS,
    topics=HUBS,
    behind=1234,
    containers={"charts": StoredContainer("/chart", ("/asOf/?",))},
    versions=LibraryVersionFacts(LIVE, None, has_former=False),
    dead_letters=DeadLetterFacts(0, more=False),
    parked=0,
    queue=QUEUE,
    blobs=dict.fromkeys(channels.BLOB_CONTAINERS, True),
    health={"API": "", "trending worker": ""},
    options={
        "connections_max_idle_ms": kafka.CONNECTIONS_MAX_IDLE_MS,
        "metadata_max_age_ms": kafka.METADATA_MAX_AGE_MS,
        "max_request_size": kafka.MAX_REQUEST_SIZE,
        "session_timeout_ms": kafka.SESSION_TIMEOUT_MS,
        "request_timeout_ms": kafka.REQUEST_TIMEOUT_MS,
    },
    skew=0.4,
)


def changed(facts: DoctorFacts) -> list[Finding]:
    """The findings that are there because of what differs from a healthy system."""
    usual = findings(WELL, CONTAINERS)
    found = findings(facts, CONTAINERS)
    assert all(finding.mend for finding in found if finding.status != "ok")
    assert [fault for finding in found for fault in az_commands.faults(finding.mend)] == []
    return [finding for finding in found if finding not in usual]


def only(facts: DoctorFacts) -> Finding:
    (finding,) = changed(facts)
    return finding


def test_a_healthy_system_is_ok_in_every_line() -> None:
    found = findings(WELL, CONTAINERS)
    assert {finding.status for finding in found} == {"ok"}
    assert not any(finding.mend for finding in found)
    assert {f"hub {name}" for name in channels.HUBS} <= {finding.check for finding in found}
    assert any("1,234 events to read" in finding.seen for finding in found)


def test_who_is_not_signed_in_is_told_so_first() -> None:
    finding = only(structs.replace(WELL, sign_in=FailedQuestion("ClientAuthenticationError: no credential")))
    assert (finding.check, finding.status) == ("sign-in to Azure", "fail")
    assert finding.mend.startswith("az login")
    assert findings(structs.replace(WELL, sign_in=FailedQuestion("none")), CONTAINERS)[0].seen == "none"
    assert only(structs.replace(WELL, sign_in="ada@example.org")).status == "ok"


def test_a_missing_hub_is_named_with_the_command_that_creates_it() -> None:
    finding = only(structs.replace(WELL, hubs={**HUBS, channels.TRENDING_PARTIALS: MissingEntity()}))
    assert (finding.check, finding.status, finding.seen) == ("hub trending-partials", "fail", "is not there")
    assert " --name trending-partials --partition-count 4" in finding.mend


def test_a_missing_changelog_is_to_be_made_as_wide_as_its_hub() -> None:
    hubs = {**HUBS, channels.MUSIC_EVENTS: 32, channels.TRENDING_CELLS_CHANGELOG: MissingEntity()}
    (_, finding) = changed(structs.replace(WELL, hubs=hubs))
    assert "--name songline-trending-cells-changelog --partition-count 32" in finding.mend


def test_a_changelog_that_is_not_as_wide_as_its_hub_fails() -> None:
    finding = only(structs.replace(WELL, hubs={**HUBS, channels.TRENDING_SHARDS_CHANGELOG: 8}))
    assert finding.status == "fail"
    assert finding.seen.startswith("has 8 partitions and needs 4: as many as trending-partials")


def test_a_changelog_narrower_than_a_hub_that_grew_is_widened_not_deleted() -> None:
    hubs = {**HUBS, channels.MUSIC_EVENTS: 6}
    (_, finding) = changed(structs.replace(WELL, hubs=hubs))
    assert finding.seen.startswith("has 4 partitions and needs 6")
    assert finding.mend == widened(channels.TRENDING_CELLS_CHANGELOG, 6)


def test_more_partitions_are_fine_when_all_agree() -> None:
    hubs = {name: count * 8 if count > 1 else 1 for name, count in HUBS.items()}
    assert {finding.status for finding in changed(structs.replace(WELL, hubs=hubs))} == {"ok"}


def test_the_merged_hub_has_one_partition() -> None:
    finding = only(structs.replace(WELL, hubs={**HUBS, channels.TRENDING_TOPS: 2}))
    assert finding.seen == "has 2 partitions and needs 1: one reader merges it"


def test_event_hubs_out_of_reach_is_one_line_and_not_one_for_each_hub() -> None:
    finding = only(structs.replace(WELL, hubs=FailedQuestion("ConnectError: refused")))
    assert (finding.check, finding.status, finding.seen) == ("Event Hubs", "fail", "ConnectError: refused")


def test_kafka_out_of_reach_is_one_line() -> None:
    finding = only(structs.replace(WELL, topics=FailedQuestion("closed"), behind=FailedQuestion("closed")))
    assert (finding.check, finding.status) == ("Kafka endpoint", "fail")


def test_parked_records_are_counted_with_the_command_that_mends_it() -> None:
    (found,) = changed(structs.replace(WELL, parked=1_234))
    assert (found.check, found.status, "1,234" in found.seen) == ("parked records", "warn", True)
    assert "songline parked" in found.mend
    assert not [one for one in changed(structs.replace(WELL, parked=MissingEntity())) if one.check == "parked records"]


def test_two_namespaces_under_one_system_are_noticed() -> None:
    topics = {name: count for name, count in HUBS.items() if name != channels.MUSIC_EVENTS}
    found = {finding.check: finding for finding in changed(structs.replace(WELL, topics=topics))}
    assert found["Kafka metadata"].status == "fail"
    assert "music-events" in found["Kafka metadata"].seen


def test_a_hub_that_is_nowhere_is_told_once() -> None:
    without = {name: count for name, count in HUBS.items() if name != channels.NOW_PLAYING}
    facts = structs.replace(WELL, hubs={**without, channels.NOW_PLAYING: MissingEntity()}, topics=without)
    assert [finding.check for finding in changed(facts) if finding.status == "fail"] == ["hub now-playing"]


def test_more_hubs_than_a_namespace_allows_is_a_warning() -> None:
    ten = HUBS | {f"other-{number}": 1 for number in range(10 - len(HUBS))}
    assert {finding.status for finding in changed(structs.replace(WELL, topics=ten))} == {"ok"}
    (listed, finding) = changed(structs.replace(WELL, topics={**ten, "eleventh": 1}))
    assert (listed.status, finding.check, finding.status) == ("ok", "number of hubs", "warn")
    assert finding.seen.startswith("11 of the 10")


def test_a_group_without_a_coordinator_fails() -> None:
    finding = only(structs.replace(WELL, behind=FailedQuestion("GroupCoordinatorNotAvailableError")))
    assert (finding.check, finding.status) == ("group songline-trending", "fail")


def test_cosmos_out_of_reach_is_one_line() -> None:
    finding = only(structs.replace(WELL, containers=FailedQuestion("401")))
    assert (finding.check, finding.status, finding.seen) == ("Cosmos DB", "fail", "401")


def test_a_missing_database_is_one_line() -> None:
    (reached, finding) = changed(
        structs.replace(WELL, containers=MissingEntity(), versions=FailedQuestion("404"), parked=MissingEntity())
    )
    assert (reached.check, reached.status) == ("Cosmos DB", "ok")
    assert (finding.check, finding.status) == ("database songline", "fail")
    assert "az cosmosdb sql database create" in finding.mend


def test_a_missing_container_is_named() -> None:
    finding = only(structs.replace(WELL, containers={"charts": MissingEntity()}))
    assert (finding.check, finding.status) == ("container charts", "fail")
    assert "--partition-key-path /chart" in finding.mend


def test_a_wrong_partition_key_fails_and_a_wrong_index_warns() -> None:
    keyed = only(structs.replace(WELL, containers={"charts": StoredContainer("/id", ("/asOf/?",))}))
    assert (keyed.status, keyed.seen) == ("fail", "is partitioned by /id and needs /chart")
    indexed = only(structs.replace(WELL, containers={"charts": StoredContainer("/chart", ("/*",))}))
    assert (indexed.status, indexed.seen) == ("warn", "indexes /* and should index /asOf/?")


def test_every_unsafe_setting_is_a_line() -> None:
    unsafe = {**dict(WELL.options), "connections_max_idle_ms": 540_000, "metadata_max_age_ms": 300_000}  # type: ignore[arg-type]  # a mapping here
    found = changed(structs.replace(WELL, options=unsafe))
    assert [finding.status for finding in found] == ["fail", "fail"]
    assert found[0].seen == "connections_max_idle_ms is 540000; Azure drops idle connections at 240000"
    assert found[0].mend.startswith("use 180000")


def test_settings_that_could_not_be_read_fail() -> None:
    assert only(structs.replace(WELL, options=FailedQuestion("ValueError: no credentials"))).status == "fail"


def test_an_ill_service_fails_and_an_unknown_one_warns() -> None:
    ill, unknown = changed(structs.replace(WELL, health={"API": "answered 503", "trending worker": None}))
    assert (ill.check, ill.status, ill.seen) == ("API", "fail", "answered 503")
    assert (unknown.check, unknown.status) == ("trending worker", "warn")
    assert "SONGLINE_TRENDING" in unknown.mend


def test_a_clock_that_is_off_warns_and_one_that_is_far_off_fails() -> None:
    assert {only(structs.replace(WELL, skew=skew)).status for skew in (31.0, -299.0)} == {"warn"}
    assert {only(structs.replace(WELL, skew=skew)).status for skew in (51.0, 61.0, 301.0, -4000.0)} == {"fail"}
    # A lock of five seconds bears less.
    short = structs.replace(WELL, queue=structs.replace(QUEUE, lock=timedelta(seconds=5)))
    assert "fail" in {finding.status for finding in changed(structs.replace(short, skew=4.0))}
    assert only(structs.replace(WELL, skew=-45.0)).seen == "45 s behind the service's"
    assert only(structs.replace(WELL, skew=45.0)).seen == "45 s ahead of the service's"
    assert only(structs.replace(WELL, skew=FailedQuestion("no answer"))).status == "warn"


@pytest.mark.parametrize(
    ("queue", "status", "words"),
    [
        (structs.replace(QUEUE, sessions=True), "fail", "asks for sessions"),
        (structs.replace(QUEUE, duplicates=None), "fail", "does not detect duplicates"),
        (structs.replace(QUEUE, duplicates=timedelta(seconds=20)), "warn", "knows duplicates for 0:00:20"),
        (structs.replace(QUEUE, expired_are_kept=False), "fail", "drops expired messages"),
        (structs.replace(QUEUE, deliveries=3), "warn", "gives up after 3 deliveries"),
        (structs.replace(QUEUE, lock=timedelta(seconds=5)), "warn", "locks a command for 0:00:05"),
        (FailedQuestion("HttpResponseError: 401"), "warn", "can't be read: HttpResponseError: 401"),
    ],
)
def test_a_queue_that_is_not_as_declared(queue: QueueDeclaration | FailedQuestion, status: str, words: str) -> None:
    finding = only(structs.replace(WELL, queue=queue))
    assert (finding.check, finding.status) == ("queue song-commands", status)
    assert words in finding.seen


def test_a_queue_that_waits_longer_and_tries_more_often_is_well() -> None:
    patient = structs.replace(QUEUE, lock=timedelta(minutes=5), deliveries=20, duplicates=timedelta(days=1))
    assert changed(structs.replace(WELL, queue=patient)) == []
    assert only(structs.replace(WELL, queue=None)).status == "ok"


def test_a_missing_queue_dead_letters_and_missing_blob_containers_are_named() -> None:
    missing = changed(structs.replace(WELL, dead_letters=MissingEntity()))
    assert [(finding.check, finding.status) for finding in missing] == [("queue song-commands", "fail")]
    assert "az servicebus queue create -g GROUP --namespace-name NAMESPACE --name song-commands" in missing[0].mend
    letters = only(structs.replace(WELL, dead_letters=DeadLetterFacts(50, more=True)))
    assert (letters.status, letters.seen) == ("warn", "50 or more")
    uploads = only(
        structs.replace(WELL, blobs={**dict.fromkeys(channels.BLOB_CONTAINERS, True), channels.UPLOAD_BLOBS: False})
    )
    assert (uploads.check, uploads.status) == ("blob container uploads", "fail")


@pytest.mark.parametrize(
    ("versions", "status", "seen"),
    [
        (LibraryVersionFacts(None, None, has_former=False), "ok", "makes the first one"),
        (LibraryVersionFacts(None, None, has_former=True), "warn", "wait to be converted"),
        (
            LibraryVersionFacts(
                None,
                MigrationDocument(
                    id="library-migration",
                    version=1,
                    shelves=4,
                    worker="w",
                    recorded_at=datetime(2026, 11, 28, tzinfo=UTC),
                    listeners=20_000,
                    converted=1_200,
                ),
                has_former=True,
            ),
            "warn",
            "1,200 of 20,000 listeners",
        ),
        (LibraryVersionFacts(LIVE, None, has_former=True), "ok", "can be deleted"),
        (FailedQuestion("no answer"), "fail", "no answer"),
    ],
)
def test_what_is_left_of_an_upgrade_is_said(
    versions: LibraryVersionFacts | FailedQuestion, status: str, seen: str
) -> None:
    finding = only(structs.replace(WELL, versions=versions))
    assert finding.status == status
    assert seen in finding.seen
