"""`songline doctor` on systems that lack something: each line that fails names it."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from songline.api.guard_settings import AUTH
from songline.cloud import blobs, cosmos
from songline.cloud.settings import (
    BLOB_CONNECTION,
    COSMOS_CONNECTION,
    EVENTHUB_CONNECTION,
    KAFKA_BOOTSTRAP,
    SERVICEBUS_CONNECTION,
    read_blobs,
)
from songline.doctor.identity import CHECK
from songline.identity.settings import ISSUER
from songline.processes import emulator_files
from songline.processes.entities import CONTAINERS
from songline.processes.environment import API, WORKERS
from songline.schemas.channels import BLOB_CONTAINERS, DATABASE, HUBS, NOW_PLAYING, SONG_COMMANDS, TRENDING_PARTIALS
from tests.support.localcloud import LocalCloud

WIRES = ("Event Hubs", "Kafka endpoint", "Cosmos DB", "Service Bus", "Blob Storage")
PROCESSES = {"API": API, **{f"{name} worker": variable for name, variable in WORKERS.items()}}
Finding = dict[str, Any]


def examine(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "songline", "doctor", *arguments],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def failing(environ: Mapping[str, str]) -> dict[str, Finding]:
    """What fails, by check; the doctor must have said with its exit code whether anything does."""
    done = examine(environ, "--json")
    assert done.stderr == ""
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    failed = {check: finding for check, finding in found.items() if finding["status"] == "fail"}
    assert done.returncode == (1 if failed else 0)
    assert all(finding["mend"] for finding in failed.values())
    return failed


def ensure(cloud: LocalCloud, containers: tuple[cosmos.Container, ...] = CONTAINERS) -> None:
    async def create() -> None:
        async with cosmos.client(cloud.settings().cosmos) as client:
            await cosmos.ensure(client, DATABASE, containers)
        async with blobs.client(read_blobs(cloud.environment)) as storage:
            await blobs.ensure(storage, BLOB_CONTAINERS)

    asyncio.run(create())


@pytest.fixture
def hubs(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the product's declaration of hubs, without some and with other partition counts."""

    def write(*, without: str, partitions: Mapping[str, int]) -> Path:
        document = json.loads(emulator_files.files("eventhubs")[0].read_text())
        namespace = document["UserConfig"]["NamespaceConfig"][0]
        namespace["Entities"] = [
            {**entity, "PartitionCount": partitions.get(entity["Name"], entity["PartitionCount"])}
            for entity in namespace["Entities"]
            if entity["Name"] != without
        ]
        path = tmp_path / "hubs.json"
        path.write_text(json.dumps(document))
        return path

    return write


def test_hubs_and_containers_that_are_missing_or_wrong_are_named(
    start_localcloud: Callable[..., LocalCloud], hubs: Callable[..., Path], tmp_path: Path
) -> None:
    config = hubs(without=NOW_PLAYING, partitions={TRENDING_PARTIALS: 2})
    queue = {"Name": SONG_COMMANDS, "Properties": {"DeadLetteringOnMessageExpiration": False}}
    overlay = tmp_path / "queue.json"
    overlay.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": [queue]}]}}))
    buses = [f"--servicebus-config={path}" for path in (*emulator_files.files("servicebus"), overlay)]
    cloud = start_localcloud("--blobs", "--config", str(config), *buses)
    failed = failing(cloud.environment)
    declared = {"hub now-playing", "hub songline-trending-shards-changelog", f"queue {SONG_COMMANDS}"}
    made = {f"database {DATABASE}", *(f"blob container {name}" for name in BLOB_CONTAINERS)}
    assert failed.keys() == declared | made
    assert "drops expired messages" in failed[f"queue {SONG_COMMANDS}"]["seen"]
    assert "eventhub create -g GROUP --namespace-name NAMESPACE --name now-playing" in failed["hub now-playing"]["mend"]
    assert "has 4 partitions and needs 2" in failed["hub songline-trending-shards-changelog"]["seen"]
    ensure(cloud, containers=())
    assert failing(cloud.environment).keys() == declared | {f"container {one.name}" for one in CONTAINERS}
    ensure(cloud)
    assert failing(cloud.environment).keys() == declared


def test_a_wrong_key_is_told_for_each_service_and_the_key_is_not(song_cloud: LocalCloud) -> None:
    ensure(song_cloud)
    wrong = "d3Jvbmcgd3Jvbmcgd3Jvbmc="
    environ = {
        **song_cloud.environment,
        EVENTHUB_CONNECTION: song_cloud.eventhub_connection_string.replace(song_cloud.keys.sas, wrong),
        COSMOS_CONNECTION: f"AccountEndpoint={song_cloud.cosmos_endpoint};AccountKey={wrong}",
        SERVICEBUS_CONNECTION: song_cloud.servicebus_connection_string.replace(song_cloud.keys.sas, wrong),
        BLOB_CONNECTION: re.sub("AccountKey=[^;]+", f"AccountKey={wrong}", song_cloud.blob_connection_string),
    }
    done = examine(environ)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("fail")]
    assert [line.split("  ")[0].removeprefix("fail ") for line in lines] == list(WIRES)
    assert "Unauthorized" in lines[0]
    assert "Authentication failed" in lines[1]
    assert wrong not in done.stdout + done.stderr


def test_nothing_there_is_one_line_for_each_service_and_each_health(
    start_localcloud: Callable[..., LocalCloud],
) -> None:
    cloud = start_localcloud("--blobs")
    cloud.kill()
    nowhere = "http://127.0.0.1:9"
    environ = {**cloud.environment, **dict.fromkeys(PROCESSES.values(), nowhere)}
    assert failing(environ).keys() == {*WIRES, *PROCESSES, CHECK}


def test_an_api_that_asks_for_no_tokens_and_an_issuer_that_is_not_set_are_named(song_cloud: LocalCloud) -> None:
    ensure(song_cloud)
    environ = {name: value for name, value in song_cloud.environment.items() if name != ISSUER}
    failed = failing(environ)
    assert f"{ISSUER} is not set" in failed[CHECK]["seen"]
    done = examine({**environ, AUTH: "off"})
    assert done.returncode == 0, done.stdout
    assert any(line.startswith(f"warn {CHECK} ") and AUTH in line for line in done.stdout.splitlines())


def test_without_settings_it_names_the_first_that_is_missing(tmp_path: Path, song_cloud: LocalCloud) -> None:
    named = (EVENTHUB_CONNECTION, COSMOS_CONNECTION, KAFKA_BOOTSTRAP)
    environ = {name: value for name, value in song_cloud.environment.items() if name not in named}
    failed = failing({**environ, "SONGLINE_DATA": str(tmp_path)})
    assert failed.keys() == {"settings"}
    assert EVENTHUB_CONNECTION in failed["settings"]["seen"]


def test_a_healthy_namespace_has_every_hub_on_it(song_cloud: LocalCloud) -> None:
    ensure(song_cloud)
    done = examine(song_cloud.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in HUBS:
        assert any(line.startswith(f"ok   hub {name} ") for line in done.stdout.splitlines())
    # Nobody said where these are.
    for name in PROCESSES:
        assert any(line.startswith(f"warn {name} ") for line in done.stdout.splitlines())
