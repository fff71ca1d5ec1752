"""Derives the findings from the facts, with the remedy for each fault. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from songline.cloud.cosmos import Container
from songline.cloud.kafka import unsafe
from songline.doctor import workers
from songline.doctor.archive import archive_findings
from songline.doctor.erasures import erasure_findings
from songline.doctor.facts import (
    DeadLetterFacts,
    DoctorFacts,
    FailedQuestion,
    MissingEntity,
    StoredContainer,
    VersionFacts,
)
from songline.doctor.finding import Finding
from songline.doctor.identity import identity_findings
from songline.doctor.projections import version_findings
from songline.doctor.shelves import shelf_findings
from songline.doctor.sign_in import sign_in_findings
from songline.doctor.versions import trending_group, version_state_findings
from songline.processes.entities import QUEUE, QueueDeclaration
from songline.processes.environment import API, WORKERS
from songline.processors.ingestion.clock_skew import skew_limit_s
from songline.schemas import channels
from songline.schemas.progress_report import ProgressReport, widened

HUB_QUOTA = 10
"""The number of event hubs that a Standard namespace, and Microsoft's emulator, allow."""
SKEW_WARN = 30.0
SKEW_FAIL = 300.0
"""Seconds of clock skew. Cosmos DB refuses signatures that are 15 minutes old. Freshness is wrong by the skew."""
SETTINGS_PAGE = "docs/operations.md"
IN_NAMESPACE = "-g GROUP --namespace-name NAMESPACE"
IN_ACCOUNT = "-g GROUP -a ACCOUNT"

ALIKE = {
    channels.TRENDING_CELLS_CHANGELOG: channels.MUSIC_EVENTS,
    channels.TRENDING_SHARDS_CHANGELOG: channels.TRENDING_PARTIALS,
}
"""A changelog needs as many partitions as the hub whose state it keeps."""
SINGLE = (channels.TRENDING_TOPS,)
"""One reader merges all of it, so it has one partition."""


def findings(facts: DoctorFacts, containers: Sequence[Container]) -> list[Finding]:
    """The findings, in the order in which to mend them."""
    return [
        *sign_in_findings(facts.sign_in),
        *_eventhubs(facts),
        *_kafka(facts),
        *_cosmos(facts, containers),
        *_libraries(facts),
        *_parked(facts),
        *_servicebus(facts),
        *_blobs(facts),
        *_archive(facts),
        *_options(facts),
        *_health(facts),
        *identity_findings(facts.identity),
        *_clock(facts),
    ]


def _eventhubs(facts: DoctorFacts) -> Iterator[Finding]:
    match facts.hubs:
        case FailedQuestion(reason):
            yield Finding(
                "Event Hubs",
                "fail",
                reason,
                "start it with `songline up`; on Azure see that AZURE_EVENTHUB_CONNECTIONSTRING is the namespace's, "
                "its key current, or that this identity has the role Azure Event Hubs Data Owner; open port 5671",
            )
        case hubs:
            yield Finding("Event Hubs", "ok", "reached over AMQP with these credentials")
            yield from (_hub(name, hubs) for name in channels.HUBS)


def _hub(name: str, hubs: Mapping[str, int | MissingEntity]) -> Finding:
    check = f"hub {name}"
    found = hubs.get(name, MissingEntity())
    wanted = 1 if name in SINGLE else hubs.get(ALIKE.get(name, name), MissingEntity())
    count = wanted if isinstance(wanted, int) else 4
    create = f"`az eventhubs eventhub create {IN_NAMESPACE} --name {name} --partition-count {count}`"
    if isinstance(found, MissingEntity):
        return Finding(
            check,
            "fail",
            "is not there",
            f"{create}; on this machine declare it in infra/emulators/eventhubs/Config.json",
        )
    if isinstance(wanted, int) and found != wanted:
        why = "one reader merges it" if name in SINGLE else f"as many as {ALIKE[name]}, whose state it keeps"
        mend = f"delete it while the trending worker is stopped, then {create}; a rebuild fills it again"
        if name == channels.TRENDING_CELLS_CHANGELOG and found < wanted:
            mend = widened(name, wanted)
        return Finding(check, "fail", f"has {_partitions(found)} and needs {wanted}: {why}", mend)
    return Finding(check, "ok", _partitions(found))


def _kafka(facts: DoctorFacts) -> Iterator[Finding]:
    match facts.topics:
        case FailedQuestion(reason):
            yield Finding(
                "Kafka endpoint",
                "fail",
                reason,
                "see that the namespace is Standard or better (Basic has no Kafka), that SONGLINE_KAFKA_BOOTSTRAP, if "
                "set, is HOST:9093 on Azure, and that the port is open",
            )
            return
        case topics:
            yield Finding("Kafka endpoint", "ok", f"reached, signed in, lists {len(topics)} hubs")
    unlisted = [name for name in channels.HUBS if name not in topics and _is_there(facts, name)]
    if unlisted:
        yield Finding(
            "Kafka metadata",
            "fail",
            f"does not list {', '.join(unlisted)}, which AMQP does",
            "see that SONGLINE_KAFKA_BOOTSTRAP and AZURE_EVENTHUB_CONNECTIONSTRING name the same namespace",
        )
    yield _quota(len(topics))
    group = trending_group(facts.states)
    match facts.behind:
        case FailedQuestion(reason):
            yield Finding(
                f"group {group}",
                "fail",
                reason,
                "see that no other application uses this group id: Kafka group ids span a namespace",
            )
        case behind:
            yield Finding(f"group {group}", "ok", f"its coordinator answers; {behind:,} events to read")


def _quota(hubs: int) -> Finding:
    seen = f"{hubs} of the {HUB_QUOTA} that a Standard namespace allows"
    if hubs > HUB_QUOTA:
        return Finding(
            "number of hubs",
            "warn",
            seen,
            "use Premium on Azure, or put other applications in a namespace of their own",
        )
    return Finding("number of hubs", "ok", seen)


def _cosmos(facts: DoctorFacts, containers: Sequence[Container]) -> Iterator[Finding]:
    match facts.containers:
        case FailedQuestion(reason):
            yield Finding(
                "Cosmos DB",
                "fail",
                reason,
                "start it with `songline up`; on Azure see that AZURE_COSMOS_CONNECTIONSTRING or "
                "AZURE_COSMOS_RESOURCEENDPOINT is the account's, that its firewall lets this machine in, and that this "
                "identity has the role Cosmos DB Built-in Data Contributor, which only "
                "`az cosmosdb sql role assignment create` gives",
            )
        case MissingEntity():
            yield Finding("Cosmos DB", "ok", "reached with these credentials")
            create = f"`az cosmosdb sql database create {IN_ACCOUNT} --name {channels.DATABASE}`"
            mend = f"{create}; on this machine `songline up` creates it"
            yield Finding(f"database {channels.DATABASE}", "fail", "is not there, nor any container", mend)
        case found:
            yield Finding("Cosmos DB", "ok", f"reached with these credentials, database {channels.DATABASE}")
            # What was dropped may be gone.
            dropped = facts.states.dropped if isinstance(facts.states, VersionFacts) else frozenset()
            for container in containers:
                stored = found.get(container.name, MissingEntity())
                if not (container.name in dropped and isinstance(stored, MissingEntity)):
                    yield _container(container, stored)


def _container(wanted: Container, found: StoredContainer | MissingEntity) -> Finding:
    check = f"container {wanted.name}"
    if isinstance(found, MissingEntity):
        return Finding(
            check,
            "fail",
            "is not there",
            f"`az cosmosdb sql container create {IN_ACCOUNT} --database-name {channels.DATABASE} --name {wanted.name} "
            f"--partition-key-path {wanted.partition_key}{_ttl(wanted.ttl)}`; on this machine `songline up` creates it",
        )
    if found.partition_key != wanted.partition_key:
        return Finding(
            check,
            "fail",
            f"is partitioned by {found.partition_key} and needs {wanted.partition_key}",
            "a partition key can't be changed: delete the container, create it again, and rebuild the charts",
        )
    if set(found.indexed) != set(wanted.indexed):
        return Finding(
            check,
            "warn",
            f"indexes {_named(sorted(found.indexed))} and should index {_named(wanted.indexed)}",
            "set its indexing policy; every path more costs each write, every path less makes queries scan",
        )
    if found.ttl != wanted.ttl:
        return Finding(
            check,
            "warn",
            f"keeps documents for {found.ttl} s and should for {wanted.ttl} s (None: for good)",
            f"`az cosmosdb sql container update {IN_ACCOUNT} --database-name {channels.DATABASE} --name {wanted.name}"
            f"{_ttl(-1 if wanted.ttl is None else wanted.ttl)}`",
        )
    return Finding(check, "ok", f"partitioned by {found.partition_key}, indexes {_named(found.indexed)}")


def _named(paths: Sequence[str]) -> str:
    return ", ".join(paths) or "nothing"


def _ttl(seconds: int | None) -> str:
    return "" if seconds is None else f" --ttl {seconds}"


def _libraries(facts: DoctorFacts) -> Iterator[Finding]:
    # Where Cosmos DB can't be reached at all, or has no database, `_cosmos` says so once.
    if not isinstance(facts.containers, FailedQuestion | MissingEntity):
        yield from version_state_findings(facts.states)
        yield from version_findings(facts.versions)
        yield from shelf_findings(facts.shelves)
        yield from erasure_findings(facts.erasures)


def _parked(facts: DoctorFacts) -> Iterator[Finding]:
    # `_cosmos` reports a missing container and a store that can't be reached.
    if isinstance(facts.parked, int):
        mend = "see why with `songline parked list`; then `songline parked resubmit` or `discard` them"
        seen = "1 record waits" if facts.parked == 1 else f"{facts.parked:,} records wait"
        waits = Finding("parked records", "warn", f"{seen} to be sent again or discarded", mend)
        yield waits if facts.parked else Finding("parked records", "ok", "none")


def _servicebus(facts: DoctorFacts) -> Iterator[Finding]:
    check = f"queue {channels.SONG_COMMANDS}"
    create = (
        f"`az servicebus queue create {IN_NAMESPACE} --name {channels.SONG_COMMANDS} --enable-duplicate-detection true "
        "--enable-dead-lettering-on-message-expiration true --lock-duration PT1M --max-delivery-count 10`"
    )
    match facts.dead_letters:
        case FailedQuestion(reason):
            yield Finding(
                "Service Bus",
                "fail",
                reason,
                "start it with `songline up`; on Azure see that AZURE_SERVICEBUS_CONNECTIONSTRING is the namespace's, "
                "its key current, or that this identity has the role Azure Service Bus Data Owner; open port 5671",
            )
        case MissingEntity():
            yield Finding("Service Bus", "ok", "reached over AMQP with these credentials")
            mend = f"{create}; on this machine declare it in infra/emulators/servicebus/Config.json"
            yield Finding(check, "fail", "is not there", mend)
        case dead_letters:
            yield Finding("Service Bus", "ok", "reached over AMQP with these credentials")
            yield from _queue(check, facts.queue, create)
            yield _dead_letters(dead_letters)


def _queue(check: str, queue: QueueDeclaration | FailedQuestion | None, create: str) -> Iterator[Finding]:
    match queue:
        case None:
            yield Finding(check, "ok", "is there; the service has no management endpoint for its settings")
            return
        case FailedQuestion(reason):
            mend = "reading its settings needs the right Manage: use a key that has it, or look in the portal"
            yield Finding(check, "warn", f"is there, and its settings can't be read: {reason}", mend)
            return
    anew = f"this can't be changed: let the ingestion workers empty it, delete it, then {create}"
    update = f"`az servicebus queue update {IN_NAMESPACE} --name {channels.SONG_COMMANDS}"
    wrong = list(_differences(check, queue, anew, update))
    yield from wrong
    if not wrong:
        yield Finding(check, "ok", "as declared: duplicates are dropped, nothing expires unseen")


def _differences(check: str, queue: QueueDeclaration, anew: str, update: str) -> Iterator[Finding]:
    if queue.sessions != QUEUE.sessions:
        yield Finding(check, "fail", "asks for sessions, which its commands don't have", anew)
    if queue.duplicates is None:
        yield Finding(check, "fail", "does not detect duplicates: a command that is sent again is done again", anew)
    elif QUEUE.duplicates is not None and queue.duplicates < QUEUE.duplicates:
        seen = f"knows duplicates for {queue.duplicates}, declared is {QUEUE.duplicates}"
        yield Finding(check, "warn", seen, f"{update} --duplicate-detection-history-time-window PT5M`")
    if not queue.expired_are_kept:
        mend = f"{update} --enable-dead-lettering-on-message-expiration true`"
        yield Finding(check, "fail", "drops expired messages: an accepted upload would be lost", mend)
    if queue.deliveries < QUEUE.deliveries:
        seen = f"gives up after {queue.deliveries} deliveries, declared are {QUEUE.deliveries}"
        yield Finding(check, "warn", seen, f"{update} --max-delivery-count {QUEUE.deliveries}`")
    if queue.lock < QUEUE.lock:
        seen = f"locks a command for {queue.lock}, declared is {QUEUE.lock}"
        yield Finding(check, "warn", seen, f"{update} --lock-duration PT1M`")


def _dead_letters(dead_letters: DeadLetterFacts) -> Finding:
    if not dead_letters.count:
        return Finding("dead letters", "ok", "none")
    seen = f"{dead_letters.count}{' or more' if dead_letters.more else ''}"
    return Finding("dead letters", "warn", seen, "see why with `songline dlq list`; then resubmit or discard them")


def _blobs(facts: DoctorFacts) -> Iterator[Finding]:
    match facts.blobs:
        case FailedQuestion(reason):
            yield Finding(
                "Blob Storage",
                "fail",
                reason,
                "start it with `songline up`; on Azure see that AZURE_STORAGEBLOB_CONNECTIONSTRING or "
                "AZURE_STORAGEBLOB_RESOURCEENDPOINT is the account's, and that this identity has the role Storage Blob "
                "Data Contributor",
            )
        case found:
            yield Finding("Blob Storage", "ok", "reached with these credentials")
            for name in channels.BLOB_CONTAINERS:
                check = f"blob container {name}"
                if found.get(name):
                    yield Finding(check, "ok", "is there")
                else:
                    create = f"`az storage container create --auth-mode login --account-name ACCOUNT --name {name}`"
                    yield Finding(check, "fail", "is not there", f"{create}; on this machine `songline up` creates it")


def _archive(facts: DoctorFacts) -> Iterator[Finding]:
    # Where Blob Storage can't be reached at all, `_blobs` says so once.
    if facts.archive is not None and not isinstance(facts.blobs, FailedQuestion):
        yield from archive_findings(facts.archive)


def _options(facts: DoctorFacts) -> Iterator[Finding]:
    check = "Kafka client settings"
    match facts.options:
        case FailedQuestion(reason):
            yield Finding(check, "fail", reason, f"see {SETTINGS_PAGE} for what the worker needs")
        case options:
            wrong = unsafe(options)
            for sentence in wrong:
                seen, _, mend = sentence.partition(": ")
                yield Finding(
                    check, "fail", seen, f"{mend}, in processors/trending/faust/settings.py and cloud/kafka.py"
                )
            if not wrong:
                yield Finding(check, "ok", "safe for Event Hubs")


def _health(facts: DoctorFacts) -> Iterator[Finding]:
    settings = {"API": API, **{f"{name} worker": variable for name, variable in WORKERS.items()}}
    for name, state in facts.health.items():
        match state:
            case None:
                inside = "" if name == "API" else "; on Azure the API alone reaches it, and tells of it in /v1/live"
                yield Finding(
                    name, "warn", "its address is not known", f"set {settings[name]}, or start `songline up`{inside}"
                )
            case "":
                yield Finding(name, "ok", "healthy")
            case ProgressReport():
                yield from workers.worker_findings(name, state, facts.hubs if isinstance(facts.hubs, Mapping) else {})
            case _:
                yield Finding(name, "fail", state, "start it (`songline up`), or see why in its log")


def _clock(facts: DoctorFacts) -> Iterator[Finding]:
    match facts.skew:
        case FailedQuestion(reason):
            yield Finding("clock", "warn", reason, "mend Cosmos DB first: its answers carry the time")
        case skew:
            seen = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service's"
            lock = facts.queue.lock if isinstance(facts.queue, QueueDeclaration) else QUEUE.lock
            # With a clock that is ahead, the ingestion worker can't hold locks.
            limit = skew_limit_s(lock.total_seconds()) if skew > 0 else SKEW_FAIL
            if abs(skew) < min(SKEW_WARN, limit):
                yield Finding("clock", "ok", "within a few seconds of the service's" if abs(skew) > 1 else "right")
            else:
                status: Literal["warn", "fail"] = "fail" if abs(skew) >= limit else "warn"
                yield Finding(
                    "clock",
                    status,
                    seen,
                    "let this machine set its clock (NTP): locks, signatures and freshness need it",
                )


def _is_there(facts: DoctorFacts, hub: str) -> bool:
    return isinstance(facts.hubs, Mapping) and isinstance(facts.hubs.get(hub), int)


def _partitions(count: int) -> str:
    return "1 partition" if count == 1 else f"{count} partitions"
