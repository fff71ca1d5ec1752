"""`docker compose --profile full`: our own processes as images, on Microsoft's emulators."""

import re
from typing import Any

import jsonschema
import pytest
import yaml

from songline.cloud.settings import CloudSettings, read_blobs, read_servicebus
from songline.deployment.access import PROCESSES
from songline.processes.cloud_keys import PUBLISHED
from songline.processes.emulators import COMPOSE_FILE
from tests.contract.emulators.test_compose import Config, config
from tests.support.pages import ROOT
from tests.support.published_schemas import published_schema

__all__ = ["config"]
# Microsoft has no emulator of Event Grid.
STARTED = set(PROCESSES) - {"broadcast"}
OURS = {*STARTED, "prepare", "simulator"}


@pytest.fixture
def services(config: Config) -> dict[str, dict[str, Any]]:
    return config.services("--profile", "full")


def test_the_profile_adds_our_processes_and_nothing_else(config: Config, services: dict[str, dict[str, Any]]) -> None:
    assert services.keys() - config.services().keys() == OURS
    assert {services[name]["image"] for name in OURS} == {"songline:local"}


def test_they_run_without_rights_and_without_a_writable_root(services: dict[str, dict[str, Any]]) -> None:
    for name in OURS:
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {mount.partition(":")[0] for mount in service["tmpfs"]} == {"/tmp", "/data"}


def test_their_settings_are_those_of_the_emulators(services: dict[str, dict[str, Any]]) -> None:
    for name in OURS:
        environ = {key: str(value) for key, value in services[name]["environment"].items()}
        cloud, bus, blobs = CloudSettings.read(environ), read_servicebus(environ), read_blobs(environ)
        assert cloud.eventhubs.connection is not None
        assert cloud.eventhubs.connection.reveal().strip() == PUBLISHED.namespace("127.0.0.1:5672")
        assert cloud.eventhubs.kafka == "127.0.0.1:9092"
        assert (cloud.cosmos.endpoint, cloud.cosmos.key) == ("http://127.0.0.1:8081/", PUBLISHED.cosmos)
        assert bus.connection is not None
        assert bus.connection.reveal().strip() == PUBLISHED.namespace("127.0.0.1:5673")
        assert blobs.connection is not None
        assert blobs.connection.reveal().strip() == PUBLISHED.blob_account("127.0.0.1:10000")


def test_each_starts_a_module_of_the_product_once_the_containers_are_there(services: dict[str, dict[str, Any]]) -> None:
    for name in OURS - {"simulator"}:
        python, _, module, *_ = services[name]["command"]
        folder = ROOT / module.removeprefix("songline.").replace(".", "/")
        candidates = (folder / "__main__.py", ROOT / f"{module.replace('.', '/')}.py", ROOT / module.replace(".", "/"))
        assert python == "python"
        assert any(path.exists() for path in candidates), module
    for name in STARTED:
        assert services[name]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
        assert "/health/live" in services[name]["healthcheck"]["test"][-1]
    assert services["simulator"]["command"][:2] == ["songline", "simulate"]


def test_health_is_asked_where_it_is_served(config: Config) -> None:
    ports = {f"SONGLINE_{name.upper()}_PORT": str(22001 + at) for at, name in enumerate(sorted(STARTED))}
    ports["SONGLINE_PORT"] = ports.pop("SONGLINE_API_PORT")
    services = config.services("--profile", "full", **ports)
    for name in STARTED:
        variable = "SONGLINE_PORT" if name == "api" else f"SONGLINE_{name.upper()}_PORT"
        asked = re.search(r"127\.0\.0\.1:(\d+)/", services[name]["healthcheck"]["test"][-1])
        assert asked is not None
        assert asked[1] == ports[variable]
        served = services[name]["command"][-1] if name == "api" else services[name]["environment"][variable]
        assert str(served) == ports[variable]


def test_the_file_is_one_of_the_compose_specification() -> None:
    jsonschema.validate(yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8")), published_schema("compose-spec"))
