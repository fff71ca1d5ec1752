"""infra/azure: what Bicep would deploy is what the code needs, in names, numbers and rights.

There is no Bicep compiler among the packages that the project is built from, so the files are read by the evaluator of
`tests/support/bicep`.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud.config import read_hubs
from localcloud.servicebus.config import read_namespace
from songline.cloud.settings import (
    BLOB_ENDPOINT,
    COSMOS_ENDPOINT,
    EVENTHUB_NAMESPACE,
    SERVICEBUS_NAMESPACE,
    CloudSettings,
    read_blobs,
    read_servicebus,
)
from songline.deployment.access import EVERYTHING, PROCESSES
from songline.deployment.declaration import encoded
from songline.deployment.publish import DECLARATION
from songline.deployment.start import module_of
from songline.processes import emulator_files
from songline.processes.entities import CONTAINERS
from songline.processors.ingestion.config import IngestionConfig
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.trending.config import TrendingConfig
from songline.schemas import channels
from tests.support.bicep.evaluation import Deployment, Resource

ROOT = Path(__file__).parents[3]
AZURE = ROOT / "infra" / "azure"
GIVEN = {"environmentName": "dev", "location": "westeurope", "issuer": "https://login.example/"}
IMAGES = dict.fromkeys(PROCESSES, "registry.example/songline:1")
EVERY_OPTION = {
    **GIVEN,
    "eventHubsTier": "Premium",
    "serviceBusTier": "Premium",
    "cosmosCapacity": "serverless",
    "monthlyBudget": 100,
    "budgetContacts": ["owner@songline.example"],
    "month": "2026-12-01",
    "pageClientId": "page",
    "pageClientSecret": "secret",
    "pageScopes": "openid api://songline/library:read",
    "sessionKey": "key",
    "tokenKey": "key",
    "subjectClaim": "oid",
    "kafkaScalerClientId": "keda",
    "kafkaScalerClientSecret": "secret",
    "trendingWorkers": 3,
    "open": "charts",
    "partitions": 16,
    "images": IMAGES,
    "versions": [{"container": "charts", "name": "charts-v2"}],
}
HUB = "Microsoft.EventHub/namespaces/eventhubs"
GROUP = f"{HUB}/consumergroups"
QUEUE = "Microsoft.ServiceBus/namespaces/queues"
CONTAINER = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers"
BLOB_CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers"
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
STORE_ASSIGNMENT = "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments"
APP = "Microsoft.App/containerApps"
ROLES = {
    "2b629674-e913-4c01-ae53-ef4638d8f975": "sender",
    "a638d3c7-ab3a-418d-83e6-5f17a39d4fde": "receiver",
    "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39": "sender",
    "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0": "receiver",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "reader",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "contributor",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "pull",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "sender",
    "00000000-0000-0000-0000-000000000001": "reader",
    "00000000-0000-0000-0000-000000000002": "contributor",
}


@pytest.fixture(scope="module")
def deployed() -> Deployment:
    return Deployment(AZURE / "main.bicep", GIVEN)


@pytest.fixture(scope="module")
def with_options() -> Deployment:
    return Deployment(AZURE / "main.bicep", EVERY_OPTION)


def of(deployment: Deployment, type_: str) -> dict[str, dict[str, Any]]:
    """The properties of the resources of a type, by the last part of their names."""
    found = [one for one in deployment.resources if one.type == type_]
    return {one.name.rpartition("/")[2]: one.body.get("properties", {}) for one in found}


def apps(deployment: Deployment) -> dict[str, Resource]:
    return {one.body["tags"]["azd-service-name"]: one for one in deployment.resources if one.type == APP}


def environment(app: Resource) -> dict[str, str]:
    (container,) = app.body["properties"]["template"]["containers"]
    return {one["name"]: one.get("value", "a secret") for one in container["env"]}


def owner(principal: str) -> str:
    """The process whose identity a principal is."""
    if "/topics/" in principal:
        return "topic"
    found = re.search(r"/id-([a-z]+)-", principal)
    assert found is not None, principal
    return found[1]


def test_the_declaration_that_bicep_reads_is_what_the_code_says() -> None:
    assert DECLARATION == AZURE / "declaration.json"
    assert DECLARATION.read_text(encoding="utf-8") == encoded(), "run `make schemas`"


def test_hubs_are_those_of_localcloud(deployed: Deployment) -> None:
    hubs = of(deployed, HUB)
    assert set(hubs) == set(channels.HUBS)
    for local in read_hubs(emulator_files.files("eventhubs")):
        hub = hubs[local.name]
        assert hub["partitionCount"] == local.partitions
        assert (hub["retentionDescription"]["cleanupPolicy"] == "Compact") == local.compacted
        assert (hub["messageTimestampDescription"]["timestampType"] == "LogAppend") == local.append_time
        if not local.compacted and local.name != channels.NOW_PLAYING:
            assert local.retention_ms == hub["retentionDescription"]["retentionTimeInHours"] * 3_600_000
        assert (hub["captureDescription"] is None) == (local.capture is None)
        if local.capture is not None:
            where = hub["captureDescription"]["destination"]["properties"]
            assert where["blobContainer"] == channels.ARCHIVE_BLOBS == local.capture.container
            assert where["archiveNameFormat"] == local.capture.name_format


def test_consumer_groups_are_those_of_localcloud(deployed: Deployment) -> None:
    groups = {tuple(one.name.split("/")[1:]) for one in deployed.resources if one.type == GROUP}
    declared = read_hubs(emulator_files.files("eventhubs"))
    assert groups == {(hub.name, group) for hub in declared for group in hub.consumer_groups}


def test_hubs_fit_into_the_tier_standard(deployed: Deployment) -> None:
    hubs = of(deployed, HUB)
    groups = Counter(one.name.split("/")[1] for one in deployed.resources if one.type == GROUP)
    assert len(hubs) <= 10
    assert all(count <= 20 for count in groups.values())
    for hub in hubs.values():
        assert hub["partitionCount"] <= 32
        assert hub["retentionDescription"].get("retentionTimeInHours", 0) <= 168


def test_the_queue_is_that_of_localcloud(deployed: Deployment, with_options: Deployment) -> None:
    queues = of(deployed, QUEUE)
    (local,) = read_namespace(emulator_files.files("servicebus")).queues
    (name, queue), *others = queues.items()
    assert (name, others) == (channels.SONG_COMMANDS, [])
    declared = json.loads(emulator_files.files("servicebus")[0].read_text())["UserConfig"]["Namespaces"][0]["Queues"][0]
    for ours, theirs in {
        "lockDuration": "LockDuration",
        "maxDeliveryCount": "MaxDeliveryCount",
        "duplicateDetectionHistoryTimeWindow": "DuplicateDetectionHistoryTimeWindow",
        "requiresDuplicateDetection": "RequiresDuplicateDetection",
        "deadLetteringOnMessageExpiration": "DeadLetteringOnMessageExpiration",
        "requiresSession": "RequiresSession",
    }.items():
        assert queue[ours] == declared["Properties"][theirs]
    assert "maxMessageSizeInKilobytes" not in queue, "the tier Standard knows no such property"
    premium = of(with_options, QUEUE)[channels.SONG_COMMANDS]
    assert premium["maxMessageSizeInKilobytes"] == local.properties.max_message_size_in_kilobytes


def test_containers_have_their_keys_indexes_and_times_to_live(deployed: Deployment) -> None:
    found = of(deployed, CONTAINER)
    assert set(found) == {container.name for container in CONTAINERS}
    for container in CONTAINERS:
        resource = found[container.name]["resource"]
        assert resource["id"] == container.name
        assert resource["partitionKey"]["paths"] == [container.partition_key]
        assert resource["indexingPolicy"] == container.indexing_policy()
        assert resource["defaultTtl"] == (-1 if container.ttl is None else container.ttl)


def test_blob_containers_are_there(deployed: Deployment) -> None:
    assert set(of(deployed, BLOB_CONTAINER)) == set(channels.BLOB_CONTAINERS)


def test_a_version_of_a_projection_is_a_container_like_the_first(
    deployed: Deployment, with_options: Deployment
) -> None:
    found = of(with_options, CONTAINER)
    assert found.keys() - of(deployed, CONTAINER).keys() == {"charts-v2"}
    first, second = (found[name]["resource"] for name in ("charts", "charts-v2"))
    assert {**first, "id": "charts-v2"} == second
    assert granted(with_options)["trending"]["charts-v2"] == {"contributor"}
    assert granted(with_options)["api"]["charts-v2"] == {"reader"}


def granted(deployment: Deployment) -> dict[str, dict[str, set[str]]]:
    """By process and by what it has a right in: its roles."""
    found: dict[str, dict[str, set[str]]] = {}
    for one in deployment.resources:
        if one.type == ASSIGNMENT:
            where, role = one.scope, ROLES[one.body["properties"]["roleDefinitionId"].rpartition("/")[2]]
        elif one.type == STORE_ASSIGNMENT:
            where = one.body["properties"]["scope"]
            role = ROLES.get(one.body["properties"]["roleDefinitionId"].rpartition("/")[2], "metadata")
        else:
            continue
        process, what = owner(one.body["properties"]["principalId"]), where.rpartition("/")[2]
        found.setdefault(process, {}).setdefault(what, set()).add(role)
    return found


def test_each_process_has_the_rights_that_its_code_needs_and_no_other(deployed: Deployment) -> None:
    found = granted(deployed)
    suffix = found["trending"].keys()
    namespace = next(name for name in suffix if name.startswith("evhns-"))
    account = next(name for name in suffix if name.startswith("cosmos-"))
    registry = next(name for name in suffix if name.startswith("cr"))
    assert found.pop("capture") == {channels.ARCHIVE_BLOBS: {"contributor"}}
    assert found.pop("topic") == {channels.UNDELIVERED_BLOBS: {"contributor"}}
    (topic,) = (name for name in found["broadcast"] if name.startswith("evgt-"))
    assert found["broadcast"].pop(topic) == {"sender"}
    assert found.keys() == PROCESSES.keys()
    for process, access in PROCESSES.items():
        expected: dict[str, set[str]] = {account: {"metadata"}, registry: {"pull"}}
        for hub, roles in {**access.hubs, **access.queues}.items():
            expected.setdefault(namespace if hub == EVERYTHING else hub, set()).update(roles)
        for container, role in [*access.containers.items(), *access.blobs.items()]:
            expected.setdefault(channels.DATABASE if container == EVERYTHING else container, set()).add(role)
        assert found[process] == expected


def test_no_key_opens_anything(deployed: Deployment, with_options: Deployment) -> None:
    for deployment in (deployed, with_options):
        for one in deployment.resources:
            properties = one.body.get("properties", {})
            if one.type in (
                "Microsoft.EventHub/namespaces",
                "Microsoft.ServiceBus/namespaces",
                "Microsoft.EventGrid/topics",
            ):
                assert properties["disableLocalAuth"] is True
            if one.type == "Microsoft.DocumentDB/databaseAccounts":
                assert properties["disableLocalAuth"] is True
            if one.type == "Microsoft.Storage/storageAccounts":
                assert properties["allowSharedKeyAccess"] is False
                assert properties["allowBlobPublicAccess"] is False
            if one.type == "Microsoft.ContainerRegistry/registries":
                assert properties["adminUserEnabled"] is False
    assert not re.search(
        r"list(Keys|ConnectionStrings|AccountSas)\(", "".join(map(Path.read_text, AZURE.glob("*.bicep")))
    )


def test_every_process_is_an_app_that_the_product_can_start(with_options: Deployment) -> None:
    found = apps(with_options)
    assert found.keys() == PROCESSES.keys()
    for process, app in found.items():
        module = module_of(environment(app))
        folder = module if process == "api" else module.removeprefix("songline.")
        assert (ROOT / folder.replace(".", "/") / "__main__.py").is_file()
        (identity,) = app.body["identity"]["userAssignedIdentities"]
        assert f"/id-{process}-" in identity
        assert environment(app)["AZURE_CLIENT_ID"].startswith(f"<{identity}.")


def test_settings_of_the_apps_are_settings_of_the_product(with_options: Deployment) -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for process, app in apps(with_options).items():
        # What only Azure knows are addresses of the stores.
        environ = {k: "https://store.example/" if v.startswith("<") else v for k, v in environment(app).items()}
        assert not {name for name in environ if "CONNECTIONSTRING" in name}
        settings = CloudSettings.read(environ)
        assert settings.eventhubs.connection is None
        assert settings.eventhubs.kafka == f"{environ[EVENTHUB_NAMESPACE]}:9093"
        assert settings.cosmos.key is None
        assert read_servicebus(environ).connection is None
        assert read_blobs(environ).connection is None
        assert environ.keys() >= {SERVICEBUS_NAMESPACE, COSMOS_ENDPOINT, BLOB_ENDPOINT}
        reads: dict[str, Callable[[Mapping[str, str]], Any]] = {
            "trending": TrendingConfig.read,
            "ingestion": IngestionConfig.read,
        }
        prefix = f"SONGLINE_{process.upper()}_"
        if process != "api":
            read = reads.get(process, partial(ProjectionConfig.read, prefix=prefix, flush_s=1.0))
            config = read(environ)
            assert (config.host, config.port) == (
                "0.0.0.0",
                app.body["properties"]["configuration"]["ingress"]["targetPort"],
            )
        for name in environ.keys() - {"AZURE_CLIENT_ID"}:
            assert f"`{name}`" in operations or name.startswith((prefix, "SONGLINE_ERASURE_"))


def test_probes_ask_where_health_is_served(with_options: Deployment) -> None:
    for process, app in apps(with_options).items():
        properties = app.body["properties"]
        (container,) = properties["template"]["containers"]
        port = properties["configuration"]["ingress"]["targetPort"]
        assert {probe["httpGet"]["port"] for probe in container["probes"]} == {port}
        paths = {probe["type"]: probe["httpGet"]["path"] for probe in container["probes"]}
        # A worker that catches up is not ready, and has to go on.
        ready = {"Readiness": "/health/ready"} if process == "api" else {}
        assert paths == {"Startup": "/health/live", "Liveness": "/health/live", **ready}
        assert properties["configuration"]["ingress"]["external"] == (process == "api")


def rules(app: Resource) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app.body["properties"]["template"]["scale"]["rules"]
    return found


def test_scale_rules_ask_for_what_is_there(deployed: Deployment, with_options: Deployment) -> None:
    found = apps(with_options)
    groups = {
        "catalog": channels.CATALOG_GROUP,
        "library": channels.LIBRARY_GROUP,
        "broadcast": channels.BROADCAST_GROUP,
    }
    for process, group in groups.items():
        (rule,) = rules(found[process])
        (identity,) = found[process].body["identity"]["userAssignedIdentities"]
        assert (rule["custom"]["type"], rule["custom"]["identity"]) == ("azure-eventhub", identity)
        metadata = rule["custom"]["metadata"]
        assert metadata["eventHubName"] == channels.MUSIC_EVENTS
        assert metadata["consumerGroup"] == group
        assert metadata["blobContainer"] == channels.CHECKPOINT_BLOBS
        assert metadata["checkpointStrategy"] == "blobMetadata"
        assert (
            f"{metadata['eventHubNamespace']}.servicebus.windows.net" == environment(found[process])[EVENTHUB_NAMESPACE]
        )
        assert found[process].body["properties"]["template"]["scale"]["maxReplicas"] == 16
    (depth,) = rules(found["ingestion"])
    assert depth["custom"]["metadata"]["queueName"] == channels.SONG_COMMANDS
    (lag,) = rules(found["trending"])
    assert lag["custom"]["metadata"]["topic"] == channels.MUSIC_EVENTS
    assert lag["custom"]["metadata"]["consumerGroup"] == channels.TRENDING_GROUP
    secrets = {one["name"] for one in found["trending"].body["properties"]["configuration"]["secrets"]}
    assert {auth["secretRef"] for auth in lag["custom"]["auth"]} <= secrets
    assert rules(apps(deployed)["trending"]) == [], "without a client of its own KEDA can't sign in to Kafka"


def test_a_worker_never_scales_to_nothing(deployed: Deployment) -> None:
    """KEDA counts 0 for a partition that has no checkpoint and holds one event behind deleted ones."""
    for process, app in apps(deployed).items():
        assert app.body["properties"]["template"]["scale"]["minReplicas"] >= 1, process


def test_what_is_secret_is_no_plain_value(with_options: Deployment) -> None:
    for app in apps(with_options).values():
        (container,) = app.body["properties"]["template"]["containers"]
        plain = {one["name"] for one in container["env"] if "value" in one}
        assert not {name for name in plain if re.search(r"SECRET|_KEY$|PASSWORD|TOKEN", name)}
    secret = {"pageClientSecret", "sessionKey", "tokenKey", "kafkaScalerClientSecret", "secrets"}
    for file in AZURE.glob("*.bicep"):
        parameters = re.findall(r"(@secure\(\)\n)?^param (\w+) (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        named = {name for _, name, _ in parameters if re.search(r"secrets?$|key$|password$", name, re.IGNORECASE)}
        assert named <= secret
        # What a deployment is given stays in its record, unless it is secure. Arrays can't be.
        assert all(mark and kind in ("string", "object") for mark, name, kind in parameters if name in secret), file


def test_azd_deploys_the_apps_and_fills_in_the_parameters() -> None:
    project = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))
    assert project["services"].keys() == PROCESSES.keys()
    assert (ROOT / project["infra"]["path"] / f"{project['infra']['module']}.bicep").is_file()
    for service in project["services"].values():
        assert (ROOT / service["project"] / service["docker"]["path"]).is_file()
    given = json.loads((AZURE / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
    declared = set(re.findall(r"^param (\w+) ", (AZURE / "main.bicep").read_text(encoding="utf-8"), re.MULTILINE))
    assert given.keys() <= declared
    assert given["images"]["value"] == {name: f"${{SERVICE_{name.upper()}_IMAGE_NAME}}" for name in PROCESSES}
    required = {"environmentName", "location", "issuer"}
    assert required <= given.keys()


def test_every_module_takes_the_parameters_that_it_is_given() -> None:
    """The evaluator raises where one is missing or unknown; each parameter of a file is used in it too."""
    for path in AZURE.glob("*.bicep"):
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        for name in re.findall(r"^(?:param|var) (\w+)\b", text, re.MULTILINE):
            assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{path.name}: {name} is not used"
