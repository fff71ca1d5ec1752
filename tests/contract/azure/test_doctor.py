"""`songline doctor --azure`, of a resource group that is as Bicep declares it, and of one that is not."""

import copy
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from songline.cloud.settings import SettingError
from songline.deployment.declaration import declare
from songline.doctor.azure.examination import examine_azure
from songline.doctor.azure.findings import azure_findings
from songline.doctor.azure.resource_manager import ResourceManager, ResourceManagerError
from songline.doctor.azure.resources import AzureFacts
from songline.doctor.finding import Finding
from tests.contract.azure.test_infrastructure import AZURE, GIVEN, IMAGES
from tests.support import az_commands
from tests.support.bicep.evaluation import Deployment
from tests.support.resource_group import GROUP, SUBSCRIPTION, Documents, documents, serving

COMMAND = r"\b(az|azd) [a-z]|\btimedatectl "
Spoil = Callable[[Documents], object]


@pytest.fixture(scope="module")
def as_declared() -> Documents:
    return documents(Deployment(AZURE / "main.bicep", {**GIVEN, "images": IMAGES}))


async def token() -> str:
    return "the-token"


async def read(lists: Documents, ahead: timedelta = timedelta(), status: int = 200) -> AzureFacts:
    async with (
        serving(lists, status=status) as address,
        httpx.AsyncClient(base_url=address, timeout=60) as http,
    ):
        return await ResourceManager(http, token, SUBSCRIPTION, GROUP).read(lambda: datetime.now(UTC) + ahead)


async def findings(lists: Documents) -> list[Finding]:
    return azure_findings(await read(lists), declare())


def named(lists: Documents, ending: str) -> list[dict[str, Any]]:
    """The list whose path ends so; a test changes it."""
    (found,) = (value for path, value in lists.items() if path.endswith(ending))
    return found


def properties(lists: Documents, ending: str, name: str) -> dict[str, Any]:
    (found,) = (one["properties"] for one in named(lists, ending) if one["name"].startswith(name))
    assert isinstance(found, dict)
    return found


def containers(lists: Documents, name: str) -> list[dict[str, Any]]:
    """Those of a container app."""
    found: list[dict[str, Any]] = properties(lists, "/containerApps", name)["template"]["containers"]
    return found


def drop_roles(lists: Documents, scope: str, principal: str) -> None:
    """Take away what a principal may do in a scope, both named by a part."""
    roles = named(lists, "Authorization/roleAssignments")
    left = [
        one
        for one in roles
        if scope not in one["properties"]["scope"] or principal not in one["properties"]["principalId"]
    ]
    assert len(left) < len(roles)
    roles[:] = left


async def test_what_bicep_declares_has_no_fault(as_declared: Documents) -> None:
    found = await findings(as_declared)
    assert [one for one in found if one.status != "ok"] == []
    checks = {one.check for one in found}
    assert {"Azure: hub music-events", "Azure: rights of trending", "Azure: app api", "Azure: clock"} <= checks


@pytest.mark.parametrize(
    ("spoil", "check", "status", "seen", "mend"),
    [
        (
            lambda d: named(d, "EventHub/namespaces")[0].update(sku={"name": "Basic"}),
            *("Azure: Event Hubs", "fail", "of the tier Basic", "az eventhubs namespace update"),
        ),
        (
            lambda d: named(d, "/eventhubs").extend({"name": f"h{n}", "properties": {}} for n in range(4)),
            *("Azure: quota of hubs", "fail", "11 of 10 hubs", "SONGLINE_EVENTHUBS_TIER=Premium"),
        ),
        (
            lambda d: named(d, "/eventhubs").pop(0),
            *("Azure: hub music-events", "fail", "it does not exist", "azd provision --no-state"),
        ),
        (
            lambda d: named(d, "music-events/consumergroups").clear(),
            *("Azure: hub music-events", "fail", "no consumer group songline-catalog", "consumer-group create"),
        ),
        (
            lambda d: properties(d, "/eventhubs", "catalog").update(retentionDescription={"cleanupPolicy": "Delete"}),
            *(
                "Azure: hub catalog",
                "fail",
                "cleanup policy is Delete, expected Compact",
                "az eventhubs eventhub delete",
            ),
        ),
        (
            lambda d: properties(d, "/eventhubs", "music-events")["retentionDescription"].update(
                retentionTimeInHours=24
            ),
            *("Azure: hub music-events", "fail", "for 24 hours, expected 168", "--retention-time 168"),
        ),
        (
            lambda d: properties(d, "/eventhubs", "music-events").update(captureDescription=None),
            *("Azure: hub music-events", "fail", "Capture is off", "azd provision --no-state"),
        ),
        (
            lambda d: properties(d, "/eventhubs", "music-events")["captureDescription"]["destination"][
                "properties"
            ].update(blobContainer="elsewhere"),
            *("Azure: hub music-events", "fail", "Capture writes into 'elsewhere'", "--blob-container archive"),
        ),
        (
            lambda d: properties(d, "/eventhubs", "songline-trending-cells").update(partitionCount=8),
            *("Azure: partitions", "fail", "songline-trending-cells-changelog has 8, expected 4", "deploy.md"),
        ),
        (
            lambda d: (
                named(d, "EventHub/namespaces")[0].update(sku={"name": "Premium", "capacity": 1}),
                properties(d, "/eventhubs", "songline-trending-cells").update(partitionCount=2),
            ),
            *("Azure: partitions", "fail", "cells-changelog has 2, expected 4", "cells-changelog --partition-count 4"),
        ),
        (
            lambda d: named(d, "now-playing/consumergroups").append({"name": "Songline-Trending"}),
            *("Azure: names of groups", "warn", "Songline-Trending in now-playing", "consumer-group delete"),
        ),
        (
            lambda d: named(d, "ServiceBus/namespaces")[0].update(sku={"name": "Basic"}),
            *("Azure: Service Bus", "fail", "detects no duplicates", "--sku Standard"),
        ),
        (
            lambda d: named(d, "/queues").clear(),
            *("Azure: Service Bus", "fail", "no queue song-commands", "azd provision --no-state"),
        ),
        (
            lambda d: properties(d, "DocumentDB/databaseAccounts", "cosmos").update(disableLocalAuth=False),
            *("Azure: keys of Cosmos DB", "warn", "keys open it", "disableLocalAuth=true"),
        ),
        (
            lambda d: properties(d, "Storage/storageAccounts", "st").pop("allowSharedKeyAccess"),
            *("Azure: keys of storage", "warn", "keys open it", "--allow-shared-key-access false"),
        ),
        (
            lambda d: named(d, "Authorization/roleAssignments").clear(),
            *("Azure: rights of catalog", "fail", "it lacks Azure Event Hubs Data", "az role assignment create"),
        ),
        (
            lambda d: named(d, "/sqlRoleAssignments").clear(),
            *("Azure: rights of library", "fail", "it lacks Cosmos DB Built-in Data", "az cosmosdb sql role"),
        ),
        (
            lambda d: named(d, "music-events/consumergroups").extend({"name": f"g{n}"} for n in range(20)),
            *("Azure: hub music-events", "fail", "consumer groups, at most 20", "consumer-group delete -g"),
        ),
        (
            lambda d: named(d, "EventGrid/topics")[0]["properties"].update(disableLocalAuth=False),
            *("Azure: keys of Event Grid", "warn", "keys open it", "az resource update"),
        ),
        (
            lambda d: drop_roles(d, "/containers/archive", "id-capture-"),
            *("Azure: rights of capture", "fail", "Storage Blob Data Contributor in archive", "az role assignment"),
        ),
        (
            lambda d: drop_roles(d, "/containers/undelivered", "/topics/"),
            *("Azure: rights of topic", "fail", "Storage Blob Data Contributor in undelivered", "az role assignment"),
        ),
        (
            lambda d: drop_roles(d, "/topics/", "id-broadcast-"),
            *("Azure: rights of broadcast", "fail", "it lacks EventGrid Data Sender in evgt-", "az role assignment"),
        ),
        (
            lambda d: named(d, "EventGrid/topics").clear(),
            *("Azure: rights of topic", "fail", "it has no identity", "azd provision --no-state"),
        ),
        (
            lambda d: named(d, "/userAssignedIdentities").clear(),
            *("Azure: rights of api", "fail", "it has no identity", "azd provision --no-state"),
        ),
        (
            lambda d: named(d, "/containerApps").clear(),
            *("Azure: app api", "fail", "no container app", "azd up"),
        ),
        (
            lambda d: properties(d, "/containerApps", "ca-library").update(runningStatus="Stopped"),
            *(
                "Azure: app library",
                "fail",
                "it is Stopped",
                "az containerapp logs show -g rg-songline-dev -n ca-library-",
            ),
        ),
        (
            lambda d: containers(d, "ca-library")[0].update(image="mcr.microsoft.com/k8se/quickstart:latest"),
            *("Azure: app library", "fail", "not our image", "azd deploy library"),
        ),
        (
            lambda d: containers(d, "ca-api")[0].update(probes=[]),
            *("Azure: app api", "warn", "nobody asks for its health", "azd provision --no-state"),
        ),
        (
            lambda d: properties(d, "/containerApps", "ca-library")["template"]["scale"].update(minReplicas=0),
            *("Azure: app library", "warn", "may scale to nothing", "--min-replicas 1"),
        ),
    ],
)
async def test_what_differs_is_named_with_its_mend(
    as_declared: Documents, spoil: Spoil, check: str, status: str, seen: str, mend: str
) -> None:
    spoilt = copy.deepcopy(as_declared)
    spoil(spoilt)
    matching = [one for one in await findings(spoilt) if one.check == check and one.status == status]
    assert [one for one in matching if seen in one.seen and mend in one.mend], matching
    assert all(re.search(COMMAND, one.mend) for one in matching), "a line names the command that mends it"
    assert [fault for one in matching for fault in az_commands.faults(one.mend)] == []


async def test_a_role_above_is_enough(as_declared: Documents) -> None:
    wider = copy.deepcopy(as_declared)
    roles = named(wider, "Authorization/roleAssignments")
    for one in roles:
        if "/storageAccounts/" in one["properties"]["scope"]:
            # A contributor may read too, and the resource group holds all containers.
            one["properties"]["scope"] = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP.upper()}"
            role = one["properties"]["roleDefinitionId"]
            reader, contributor = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
            one["properties"]["roleDefinitionId"] = role.replace(reader, contributor)
    assert [one for one in await findings(wider) if one.status == "fail"] == []


async def test_an_empty_resource_group_is_all_faults() -> None:
    found = await findings({})
    failed = {one.check for one in found if one.status == "fail"}
    assert {"Azure: Event Hubs", "Azure: Service Bus", "Azure: rights of api", "Azure: app api"} <= failed
    assert all(re.search(COMMAND, one.mend) for one in found if one.status != "ok")


@pytest.mark.parametrize(("ahead_s", "status"), [(0, "ok"), (-200, "ok"), (400, "fail"), (-400, "fail")])
async def test_a_clock_that_is_far_from_azures(as_declared: Documents, ahead_s: int, status: str) -> None:
    facts = await read(as_declared, ahead=timedelta(seconds=ahead_s))
    # A slow machine takes some seconds from an answer to its clock, and has the more ahead.
    (clock,) = (one for one in azure_findings(facts, declare()) if one.check == "Azure: clock")
    assert clock.status == status


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        (401, "az login, "),
        (403, "az role assignment create --role Reader "),
        (404, "azd env get-values, "),
        (500, "songline doctor --azure, "),
    ],
)
async def test_a_refusal_says_what_to_do(as_declared: Documents, status: int, mend: str) -> None:
    with pytest.raises(ResourceManagerError, match=f"answered {status}") as refused:
        await read(as_declared, status=status)
    assert refused.value.mend.startswith(mend)


async def test_an_answer_sends_the_token_nowhere_else() -> None:
    """A page that names another host for the next one is the last."""

    def elsewhere(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "management.example"
        return httpx.Response(200, json={"value": [], "nextLink": "https://elsewhere.example/next"})

    transport = httpx.MockTransport(elsewhere)
    async with httpx.AsyncClient(base_url="https://management.example", transport=transport) as http:
        facts = await ResourceManager(http, token, SUBSCRIPTION, GROUP).read(lambda: datetime.now(UTC))
    assert facts.eventhubs is None


async def test_the_environment_has_to_name_the_resource_group() -> None:
    with pytest.raises(SettingError, match="AZURE_RESOURCE_GROUP: saw nothing"):
        await examine_azure({"AZURE_SUBSCRIPTION_ID": SUBSCRIPTION})
