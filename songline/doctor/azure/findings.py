"""What is wrong with a resource group: findings from facts, each with the command that mends it."""

from collections.abc import Iterator
from datetime import timedelta

from songline.deployment.declaration import AzureDeclaration, HubDeclaration
from songline.doctor.azure.provision import PROVISION
from songline.doctor.azure.resources import AzureFacts, AzureHubFacts, NamespaceFacts
from songline.doctor.azure.rights import rights_findings
from songline.doctor.finding import Finding
from songline.schemas import channels

MAX_SKEW = timedelta(minutes=5)
"""Tokens of Entra name the moment from which they are good, and services allow five minutes."""

HUBS = {"Standard": 10, "Premium": 100}
GROUPS = {"Standard": 20, "Premium": 100}
PARTITIONS = {"Standard": 32, "Premium": 100}
RETENTION_H = {"Standard": 168, "Premium": 2_160}
"""Quotas of Event Hubs by tier."""

PLACEHOLDER = "mcr.microsoft.com/k8se/quickstart"
"""The image of an app that was never deployed."""


def azure_findings(facts: AzureFacts, declared: AzureDeclaration) -> list[Finding]:
    """All checks of the resource group."""
    return [
        *_event_hubs(facts, declared),
        *_service_bus(facts, declared),
        *_keys(facts),
        *rights_findings(facts, declared),
        *_apps(facts, declared),
        _clock(facts),
    ]


def _event_hubs(facts: AzureFacts, declared: AzureDeclaration) -> Iterator[Finding]:
    found = facts.eventhubs
    check = "Azure: Event Hubs"
    if found is None:
        yield Finding(check, "fail", f"{facts.group} has no namespace", PROVISION)
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
        yield Finding(check, "fail", "it does not exist", PROVISION)
        return
    faults = list(_hub_faults(namespace, hub, found, where))
    if not faults:
        yield Finding(check, "ok", f"{found.partitions} partitions, {found.cleanup.lower()}")
    yield from (Finding(check, "fail", seen, mend) for seen, mend in faults)


def _hub_faults(
    namespace: NamespaceFacts, hub: HubDeclaration, found: AzureHubFacts, where: str
) -> Iterator[tuple[str, str]]:
    """What was seen and how it is mended, for each difference."""
    update, delete = (f"az eventhubs eventhub {what} {where}" for what in ("update", "delete"))
    groups, of_hub = "az eventhubs eventhub consumer-group", f"{where} --eventhub-name {hub.name}"
    for group in sorted(set(hub.groups) - set(found.groups)):
        yield f"it has no consumer group {group}", f"{groups} create {of_hub} -n {group}"
    if len(found.groups) > GROUPS[namespace.tier]:
        yield (
            f"{len(found.groups)} consumer groups, at most {GROUPS[namespace.tier]}",
            f"{groups} delete {of_hub} -n each that nobody reads in",
        )
    expected = "Compact" if hub.compacted else "Delete"
    if found.cleanup != expected:
        # Azure does not change it for a hub that is there.
        yield (
            f"its cleanup policy is {found.cleanup}, expected {expected}",
            f"{delete} -n {hub.name}, then: {PROVISION}",
        )
    if hub.retention_h is not None and (found.retention_h or 0) < hub.retention_h:
        hours = f"--cleanup-policy Delete --retention-time {hub.retention_h}"
        yield (
            f"it keeps events for {found.retention_h} hours, expected {hub.retention_h}",
            f"{update} -n {hub.name} {hours}",
        )
    if hub.capture is not None:
        yield from _capture_faults(hub, found, f"{update} -n {hub.name}")


def _capture_faults(hub: HubDeclaration, found: AzureHubFacts, update: str) -> Iterator[tuple[str, str]]:
    assert hub.capture is not None
    if found.capture is None or not found.capture.get("enabled"):
        # The command of az for it asks for the account, the container and the identity too.
        yield "Capture is off: there is no archive of what happens now", PROVISION
        return
    where = (found.capture.get("destination") or {}).get("properties") or {}
    if where.get("blobContainer") != hub.capture.container:
        seen = f"Capture writes into {where.get('blobContainer')!r}, expected {hub.capture.container!r}"
        yield seen, f"{update} --blob-container {hub.capture.container}"
    if where.get("archiveNameFormat") != hub.capture.name_format:
        seen = f"Capture names files {where.get('archiveNameFormat')!r}, expected {hub.capture.name_format!r}"
        yield seen, f"{update} --archive-name-format '{hub.capture.name_format}'"
    if found.capture.get("encoding") != "Avro":
        yield f"Capture writes {found.capture.get('encoding')!r}, expected 'Avro'", PROVISION


def _partitions(facts: AzureFacts, namespace: NamespaceFacts, declared: AzureDeclaration) -> Finding:
    check = "Azure: partitions"
    counts = {hub.name: facts.hubs[hub.name].partitions for hub in declared.hubs if hub.name in facts.hubs}
    own = counts.get(channels.MUSIC_EVENTS, 0)
    expected = {hub.name: own if hub.partitions > 1 else hub.partitions for hub in declared.hubs}
    wrong = [name for name, count in counts.items() if count != expected[name]]
    if wrong:
        seen = "; ".join(f"{name} has {counts[name]}, expected {expected[name]}" for name in wrong)
        delete = f"az eventhubs eventhub delete -g {facts.group} --namespace-name {namespace.name}"
        mend = f"docs/deploy.md, Upgrades without loss, first; then {delete} -n each of them; {PROVISION}"
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
        yield Finding(check, "fail", f"{facts.group} has no namespace", PROVISION)
        return
    if found.tier == "Basic":
        mend = f"az servicebus namespace update -g {facts.group} -n {found.name} --sku Standard"
        yield Finding(check, "fail", f"{found.name} is of the tier Basic, which detects no duplicates", mend)
        return
    missing = [queue.name for queue in declared.queues if queue.name not in facts.queues]
    if missing:
        yield Finding(check, "fail", f"{found.name} has no queue {', '.join(missing)}", PROVISION)
        return
    yield Finding(check, "ok", f"{found.name}: {found.tier}")


def _keys(facts: AzureFacts) -> Iterator[Finding]:
    hubs, bus, group = facts.eventhubs, facts.servicebus, f"-g {facts.group}"
    off = "--set properties.disableLocalAuth=true"
    mends = {}
    if hubs is not None and hubs.takes_keys:
        mends["Event Hubs"] = f"az eventhubs namespace update {group} -n {hubs.name} --disable-local-auth true"
    if bus is not None and bus.takes_keys:
        mends["Service Bus"] = f"az servicebus namespace update {group} -n {bus.name} --disable-local-auth true"
    if facts.takes_cosmos_keys:
        mends["Cosmos DB"] = (
            f"az resource update {group} -n {facts.cosmos} --resource-type Microsoft.DocumentDB/databaseAccounts {off}"
        )
    if facts.takes_storage_keys:
        mends["storage"] = f"az storage account update {group} -n {facts.storage} --allow-shared-key-access false"
    if facts.topic is not None and facts.topic.takes_keys:
        # The command of az for it has no option for that.
        topic = f"{facts.topic.name} --resource-type Microsoft.EventGrid/topics"
        mends["Event Grid"] = f"az resource update {group} -n {topic} {off}"
    for name, mend in mends.items():
        yield Finding(f"Azure: keys of {name}", "warn", "keys open it, beside identities with roles", mend)
    if not mends:
        yield Finding("Azure: keys", "ok", "no key opens any service")


def _apps(facts: AzureFacts, declared: AzureDeclaration) -> Iterator[Finding]:
    for process in declared.processes:
        check = f"Azure: app {process}"
        found = facts.apps.get(process)
        if found is None:
            yield Finding(check, "fail", "there is no container app of it", "azd up")
        elif found.status not in ("Running", ""):
            mend = f"az containerapp logs show -g {facts.group} -n {found.name}"
            yield Finding(check, "fail", f"it is {found.status}", mend)
        elif found.image.startswith(PLACEHOLDER):
            yield Finding(check, "fail", f"it runs {found.image}, not our image", f"azd deploy {process}")
        elif not found.probed:
            yield Finding(check, "warn", "nobody asks for its health: one that hangs is not started again", PROVISION)
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
