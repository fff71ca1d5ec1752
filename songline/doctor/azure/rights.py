"""The roles that each identity needs on Azure, and those that it lacks."""

from collections.abc import Callable, Iterator

from songline.deployment.access import EVERYTHING
from songline.deployment.declaration import AzureDeclaration, Right
from songline.doctor.azure.provision import PROVISION
from songline.doctor.azure.resources import CAPTURE, TOPIC, AzureFacts
from songline.doctor.finding import Finding
from songline.schemas import channels

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
TOPIC_ROLES = {"sender": ("EventGrid Data Sender", "d5a91429-5739-47e2-a06b-3470a27159e7")}
_MORE = {
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "00000000-0000-0000-0000-000000000001": "00000000-0000-0000-0000-000000000002",
}
"""The role that allows more than this one, where there is one."""


def rights_findings(facts: AzureFacts, declared: AzureDeclaration) -> Iterator[Finding]:
    """Whether each process, Capture and the topic have the roles that they need, there or above."""
    prefix = f"/subscriptions/{facts.subscription}/resourceGroups/{facts.group}/providers"
    hubs = f"{prefix}/Microsoft.EventHub/namespaces/{facts.eventhubs and facts.eventhubs.name}"
    queues = f"{prefix}/Microsoft.ServiceBus/namespaces/{facts.servicebus and facts.servicebus.name}/queues"
    account = f"{prefix}/Microsoft.DocumentDB/databaseAccounts/{facts.cosmos}"
    blobs = f"{prefix}/Microsoft.Storage/storageAccounts/{facts.storage}/blobServices/default/containers"
    database = f"{account}/dbs/{declared.database}"
    topics = f"{prefix}/Microsoft.EventGrid/topics"

    def in_hub(on: str) -> str:
        return hubs if on == EVERYTHING else f"{hubs}/eventhubs/{on}"

    def in_database(on: str) -> str:
        return database if on == EVERYTHING else f"{database}/colls/{on}"

    kinds: list[tuple[tuple[Right, ...], dict[str, tuple[str, str]], Callable[[str], str]]] = [
        (declared.hub_rights, HUB_ROLES, in_hub),
        (declared.queue_rights, QUEUE_ROLES, lambda on: f"{queues}/{on}"),
        ((*declared.blob_rights, *_of_services(declared)), BLOB_ROLES, lambda on: f"{blobs}/{on}"),
        (declared.container_rights, STORE_ROLES, in_database),
        (_in_topic(facts), TOPIC_ROLES, lambda on: f"{topics}/{on}"),
    ]
    for process in (*declared.processes, CAPTURE, TOPIC):
        check = f"Azure: rights of {process}"
        principal = facts.identities.get(process)
        if principal is None:
            yield Finding(check, "fail", "it has no identity", PROVISION)
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
        yield from missing or [Finding(check, "ok", "all that it needs")]


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


def _of_services(declared: AzureDeclaration) -> Iterator[Right]:
    """What services of Azure write for us: the archive, and what no subscriber took."""
    for hub in declared.hubs:
        if hub.capture is not None:
            yield Right(CAPTURE, hub.capture.container, "contributor")
    yield Right(TOPIC, channels.UNDELIVERED_BLOBS, "contributor")


def _in_topic(facts: AzureFacts) -> tuple[Right, ...]:
    return () if facts.topic is None else (Right("broadcast", facts.topic.name, "sender"),)
