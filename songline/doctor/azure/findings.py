"""What is wrong with a resource group: findings from facts, each with the command that mends it."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from songline.deployment.access import EVERYTHING
from songline.deployment.declaration import AzureDeclaration, HubDeclaration, Right
from songline.doctor.azure.resources import AzureFacts, AzureHubFacts, NamespaceFacts
from songline.doctor.finding import Finding
from songline.schemas import channels

MAX_SKEW = timedelta(minutes=5)
"""Tokens of Entra name the moment from which they are good, and services allow five minutes."""

HUBS = {"Standard": 10, "Premium": 100}
GROUPS = {"Standard": 20, "Premium": 100}
PARTITIONS = {"Standard": 32, "Premium": 100}
RETENTION_H = {"Standard": 168, "Premium": 2_160}
"""Quotas of Event Hubs by tier."""

HUB_ROLES = {
    "sender": ("Azure Event Hubs Data Sender", "2b629674-e913-4c01-ae53-ef4638d8f975"),
    "receiver": ("Azure Event Hubs Data Receiver", "a638d3c7-ab3a-418d-83e6-5f17a39d4fde"),
}
QUEUE_ROLES = {
    "sender": ("Azure Service Bus Data Sender", "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"),
    "receiver": ("Azure Service Bus Data Receiver", "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"),
}
BLOB_ROLES = {
    "reader": ("Storage Blob Data Reader", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"),
    "contributor": ("Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"),
}
STORE_ROLES = {
    "reader": ("Cosmos DB Built-in Data Reader", "00000000-0000-0000-0000-000000000001"),
    "contributor": ("Cosmos DB Built-in Data Contributor", "00000000-0000-0000-0000-000000000002"),
}
_MORE = {
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "00000000-0000-0000-0000-000000000001": "00000000-0000-0000-0000-000000000002",
}
"""The role that allows more than this one, where there is one."""


def azure_findings(facts: AzureFacts, declared: AzureDeclaration) -> list[Finding]:
    """All checks of the resource group."""
    return [
        *_event_hubs(facts, declared),
        *_service_bus(facts, declared),
        *_keys(facts),
        *_rights(facts, declared),
        *_apps(facts, declared),
        _clock(facts),
    ]


def _event_hubs(facts: AzureFacts, declared: AzureDeclaration) -> Iterator[Finding]:
    found = facts.eventhubs
    check = "Azure: Event Hubs"
    if found is None:
        yield Finding(check, "fail", f"{facts.group} has no namespace", "azd provision")
        return
    if found.tier not in HUBS:
        yield Finding(
            check,
            "fail",
            f"{found.name} is of the tier {found.tier}, which has no Kafka, no Capture and one consumer group",
            f"az eventhubs namespace update -g {facts.group} -n {found.name} --sku Standard",
        )
        return
    grows = f", grows to {found.grows_to}" if found.grows_to > found.units else ", does not grow"
    yield Finding(check, "ok", f"{found.name}: {found.tier}, {found.units} units{grows}")
    yield _quota(facts, found)
    for hub in declared.hubs:
        yield from _hub(facts, found, hub)
    yield _partitions(facts, found, declared)
    yield _clashes(facts, found)


def _quota(facts: AzureFacts, namespace: NamespaceFacts) -> Finding:
    most = HUBS[namespace.tier]
    count = len(facts.hubs)
    seen = f"{count} of {most} hubs of the tier {namespace.tier}"
    # Azure changes no namespace from Standard to Premium, or back.
    where = f"-g {facts.group} --namespace-name {namespace.name}"
    mend = f"az eventhubs eventhub delete {where} -n each hub that nobody needs"
    if namespace.tier == "Standard":
        mend += "; or azd env new, and azd up with SONGLINE_EVENTHUBS_TIER=Premium"
    if count > most:
        return Finding("Azure: quota of hubs", "fail", seen, mend)
    return Finding("Azure: quota of hubs", "warn" if count == most else "ok", seen, mend if count == most else "")


def _hub(facts: AzureFacts, namespace: NamespaceFacts, hub: HubDeclaration) -> Iterator[Finding]:
    check = f"Azure: hub {hub.name}"
    where = f"-g {facts.group} --namespace-name {namespace.name}"
    found = facts.hubs.get(hub.name)
    if found is None:
        yield Finding(check, "fail", "it does not exist", "azd provision")
        return
    faults = list(_hub_faults(namespace, hub, found, where))
    if not faults:
        yield Finding(check, "ok", f"{found.partitions} partitions, {found.cleanup.lower()}")
    yield from (Finding(check, "fail", seen, mend) for seen, mend in faults)


def _hub_faults(
    namespace: NamespaceFacts, hub: HubDeclaration, found: AzureHubFacts, where: str
) -> Iterator[tuple[str, str]]:
    """What was seen and how it is mended, for each difference."""
    update = f"az eventhubs eventhub update {where} -n {hub.name}"
    for group in sorted(set(hub.groups) - set(found.groups)):
        create = f"az eventhubs eventhub consumer-group create {where} --eventhub-name {hub.name} -n {group}"
        yield f"it has no consumer group {group}", create
    if len(found.groups) > GROUPS[namespace.tier]:
        yield (
            f"{len(found.groups)} consumer groups, at most {GROUPS[namespace.tier]}",
            "delete those that nobody reads in",
        )
    expected = "Compact" if hub.compacted else "Delete"
    if found.cleanup != expected:
        # Azure does not change it for a hub that is there.
        yield f"its cleanup policy is {found.cleanup}, expected {expected}", "delete the hub, then: azd provision"
    if hub.retention_h is not None and (found.retention_h or 0) < hub.retention_h:
        hours = f"--cleanup-policy Delete --retention-time {hub.retention_h}"
        yield f"it keeps events for {found.retention_h} hours, expected {hub.retention_h}", f"{update} {hours}"
    if hub.capture is not None:
        yield from _capture_faults(hub, found, update)


def _capture_faults(hub: HubDeclaration, found: AzureHubFacts, update: str) -> Iterator[tuple[str, str]]:
    assert hub.capture is not None
    enable = f"{update} --enable-capture true"
    if found.capture is None or not found.capture.get("enabled"):
        yield "Capture is off: there is no archive of what happens now", enable
        return
    where = (found.capture.get("destination") or {}).get("properties") or {}
    if where.get("blobContainer") != hub.capture.container:
        seen = f"Capture writes into {where.get('blobContainer')!r}, expected {hub.capture.container!r}"
        yield seen, f"{update} --blob-container {hub.capture.container}"
    if where.get("archiveNameFormat") != hub.capture.name_format:
        seen = f"Capture names files {where.get('archiveNameFormat')!r}, expected {hub.capture.name_format!r}"
        yield seen, f"{update} --archive-name-format '{hub.capture.name_format}'"
    if found.capture.get("encoding") != "Avro":
        yield f"Capture writes {found.capture.get('encoding')!r}, expected 'Avro'", "azd provision"


def _partitions(facts: AzureFacts, namespace: NamespaceFacts, declared: AzureDeclaration) -> Finding:
    check = "Azure: partitions"
    counts = {hub.name: facts.hubs[hub.name].partitions for hub in declared.hubs if hub.name in facts.hubs}
    own = counts.get(channels.MUSIC_EVENTS, 0)
    expected = {hub.name: own if hub.partitions > 1 else hub.partitions for hub in declared.hubs}
    wrong = [name for name, count in counts.items() if count != expected[name]]
    if wrong:
        seen = "; ".join(f"{name} has {counts[name]}, expected {expected[name]}" for name in wrong)
        mend = "deploy.md, Upgrades without loss: in the tier Standard a hub is deleted and made again by azd provision"
        if namespace.tier == "Premium" and all(counts[name] < expected[name] for name in wrong):
            update = f"az eventhubs eventhub update -g {facts.group} --namespace-name {namespace.name}"
            mend = "; ".join(f"{update} -n {name} --partition-count {expected[name]}" for name in wrong)
        return Finding(check, "fail", seen, mend)
    return Finding(check, "ok", f"{own} in each hub that has several")


def _clashes(facts: AzureFacts, namespace: NamespaceFacts) -> Finding:
    """Kafka's groups span the namespace, those of AMQP are of one hub; offsets of both go by the name."""
    check = "Azure: names of groups"
    kafka = channels.TRENDING_GROUP.lower()
    read = {channels.MUSIC_EVENTS, channels.TRENDING_PARTIALS, channels.TRENDING_TOPS}
    clashes = [
        f"{group} in {name}"
        for name, hub in sorted(facts.hubs.items())
        for group in hub.groups
        if group.lower() == kafka and (name not in read or group != channels.TRENDING_GROUP)
    ]
    if not clashes:
        return Finding(check, "ok", "no group of AMQP has the name of a group of Kafka where that does not read")
    group, _, hub = clashes[0].partition(" in ")
    mend = (
        f"az eventhubs eventhub consumer-group delete -g {facts.group} --namespace-name {namespace.name} "
        f"--eventhub-name {hub} -n {group}"
    )
    return Finding(check, "warn", f"the Kafka group {channels.TRENDING_GROUP} is also: {', '.join(clashes)}", mend)


def _service_bus(facts: AzureFacts, declared: AzureDeclaration) -> Iterator[Finding]:
    found = facts.servicebus
    check = "Azure: Service Bus"
    if found is None:
        yield Finding(check, "fail", f"{facts.group} has no namespace", "azd provision")
        return
    if found.tier == "Basic":
        mend = f"az servicebus namespace update -g {facts.group} -n {found.name} --sku Standard"
        yield Finding(check, "fail", f"{found.name} is of the tier Basic, which detects no duplicates", mend)
        return
    missing = [queue.name for queue in declared.queues if queue.name not in facts.queues]
    if missing:
        yield Finding(check, "fail", f"{found.name} has no queue {', '.join(missing)}", "azd provision")
        return
    yield Finding(check, "ok", f"{found.name}: {found.tier}")


def _keys(facts: AzureFacts) -> Iterator[Finding]:
    hubs, bus, group = facts.eventhubs, facts.servicebus, f"-g {facts.group}"
    store = "--resource-type Microsoft.DocumentDB/databaseAccounts --set properties.disableLocalAuth=true"
    mends = {}
    if hubs is not None and hubs.takes_keys:
        mends["Event Hubs"] = f"az eventhubs namespace update {group} -n {hubs.name} --disable-local-auth true"
    if bus is not None and bus.takes_keys:
        mends["Service Bus"] = f"az servicebus namespace update {group} -n {bus.name} --disable-local-auth true"
    if facts.takes_cosmos_keys:
        mends["Cosmos DB"] = f"az resource update {group} -n {facts.cosmos} {store}"
    if facts.takes_storage_keys:
        mends["storage"] = f"az storage account update {group} -n {facts.storage} --allow-shared-key-access false"
    for name, mend in mends.items():
        yield Finding(f"Azure: keys of {name}", "warn", "keys open it, beside identities with roles", mend)
    if not mends:
        yield Finding("Azure: keys", "ok", "no key opens any service")


def _rights(facts: AzureFacts, declared: AzureDeclaration) -> Iterator[Finding]:
    prefix = f"/subscriptions/{facts.subscription}/resourceGroups/{facts.group}/providers"
    hubs = f"{prefix}/Microsoft.EventHub/namespaces/{facts.eventhubs and facts.eventhubs.name}"
    queues = f"{prefix}/Microsoft.ServiceBus/namespaces/{facts.servicebus and facts.servicebus.name}/queues"
    account = f"{prefix}/Microsoft.DocumentDB/databaseAccounts/{facts.cosmos}"
    blobs = f"{prefix}/Microsoft.Storage/storageAccounts/{facts.storage}/blobServices/default/containers"
    database = f"{account}/dbs/{declared.database}"

    def in_hub(on: str) -> str:
        return hubs if on == EVERYTHING else f"{hubs}/eventhubs/{on}"

    def in_database(on: str) -> str:
        return database if on == EVERYTHING else f"{database}/colls/{on}"

    kinds: list[tuple[tuple[Right, ...], dict[str, tuple[str, str]], Callable[[str], str]]] = [
        (declared.hub_rights, HUB_ROLES, in_hub),
        (declared.queue_rights, QUEUE_ROLES, lambda on: f"{queues}/{on}"),
        (declared.blob_rights, BLOB_ROLES, lambda on: f"{blobs}/{on}"),
        (declared.container_rights, STORE_ROLES, in_database),
    ]
    for process in declared.processes:
        check = f"Azure: rights of {process}"
        principal = facts.identities.get(process)
        if principal is None:
            yield Finding(check, "fail", "it has no identity", "azd provision")
            continue
        missing = [
            Finding(
                check, "fail", f"it lacks {roles[right.role][0]} in {right.on}", _assign(facts, roles, right, where)
            )
            for rights, roles, scope in kinds
            for right in rights
            if right.process == process
            for where in (scope(right.on),)
            if not _is_granted(facts, principal, roles[right.role][1], where)
        ]
        yield from missing or [Finding(check, "ok", "all that its code asks for")]


def _is_granted(facts: AzureFacts, principal: str, role: str, scope: str) -> bool:
    """Whether the principal has the role, or one that allows more, in the scope or above it."""
    enough = {role, _MORE.get(role, role)}
    return any(
        one.principal == principal
        and one.role in enough
        and f"{scope}/".lower().startswith(f"{one.scope.rstrip('/')}/".lower())
        for one in facts.roles
    )


def _assign(facts: AzureFacts, roles: dict[str, tuple[str, str]], right: Right, scope: str) -> str:
    name, identity = roles[right.role]
    principal = facts.identities[right.process]
    if roles is STORE_ROLES:
        inner = scope.partition(f"/databaseAccounts/{facts.cosmos}")[2]
        return (
            f"az cosmosdb sql role assignment create -g {facts.group} -a {facts.cosmos} "
            f"--role-definition-id {identity} --principal-id {principal} --scope {inner}"
        )
    return (
        f"az role assignment create --assignee-object-id {principal} --assignee-principal-type ServicePrincipal "
        f'--role "{name}" --scope {scope}'
    )


def _apps(facts: AzureFacts, declared: AzureDeclaration) -> Iterator[Finding]:
    for process in declared.processes:
        check = f"Azure: app {process}"
        found = facts.apps.get(process)
        if found is None:
            yield Finding(check, "fail", "there is no container app of it", "azd up")
        elif found.status not in ("Running", ""):
            mend = f"az containerapp logs show -g {facts.group} -n {found.name}"
            yield Finding(check, "fail", f"it is {found.status}", mend)
        elif process != "api" and found.min_replicas < 1:
            seen = "it may scale to nothing, and KEDA overlooks a single event behind deleted ones"
            mend = f"az containerapp update -g {facts.group} -n {found.name} --min-replicas 1"
            yield Finding(check, "warn", seen, mend)
        else:
            yield Finding(check, "ok", f"at least {found.min_replicas} replicas")


def _clock(facts: AzureFacts) -> Finding:
    seconds = facts.skew.total_seconds()
    seen = f"this machine's clock is {abs(seconds):.0f} s {'ahead of' if seconds >= 0 else 'behind'} Azure's"
    if abs(facts.skew) > MAX_SKEW:
        return Finding("Azure: clock", "fail", f"{seen}: tokens are refused", "timedatectl set-ntp true")
    return Finding("Azure: clock", "ok", seen)
