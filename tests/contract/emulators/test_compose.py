"""docker-compose.yml, as an independent implementation of the Compose specification reads it: podman-compose.

It asks for a `podman` before anything else, though its `config` never uses it; one that tells a version is enough.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from songline.commands.up import PORTS
from songline.processes import emulator_files
from songline.processes.emulators import COMPOSE_FILE

ROOT = COMPOSE_FILE.parent
NEEDED = {"ACCEPT_EULA": "Y", "MSSQL_SA_PASSWORD": "Chosen-by-1-test"}
PINNED = re.compile(r"^mcr\.microsoft\.com/[a-z/-]+:(?!latest)[\w.-]+@sha256:[0-9a-f]{64}$")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> "Config":
    folder = tmp_path_factory.mktemp("podman")
    podman = folder / "podman"
    podman.write_text("#!/bin/sh\necho podman version 5.0.0\n")
    podman.chmod(0o755)
    return Config(folder)


class Config:
    """`podman-compose config` with nothing in its environment but what it is given; what it has said is not asked for
    again."""

    def __init__(self, path: Path) -> None:
        self._path = f"{path}{os.pathsep}{os.environ['PATH']}"
        self._said: dict[tuple[object, ...], str] = {}

    def run(self, environ: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "podman_compose", "--file", str(COMPOSE_FILE), *options, "config"]
        environ = {"PATH": self._path, **environ}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    def services(self, *options: str, **environ: str) -> dict[str, dict[str, Any]]:
        asked = (options, *environ.items())
        if asked not in self._said:
            done = self.run({**NEEDED, **environ}, *options)
            assert done.returncode == 0, done.stderr
            self._said[asked] = done.stdout
        found: dict[str, dict[str, Any]] = yaml.safe_load(self._said[asked])["services"]
        return found


def published(services: dict[str, dict[str, Any]]) -> dict[tuple[str, int], tuple[str, int]]:
    """Host and port of this machine for each service and port in its container."""
    found = {}
    for name, service in services.items():
        for port in service.get("ports", []):
            host, outside, inside = port.split(":")
            found[name, int(inside)] = (host, int(outside))
    return found


def test_every_service_is_pinned_and_bound_to_this_machine_alone(config: Config) -> None:
    services = config.services()
    assert all(PINNED.match(service["image"]) for service in services.values())
    ports = published(services).values()
    assert {host for host, _ in ports} == {"127.0.0.1"}
    assert len({port for _, port in ports}) == len(ports)


def test_ports_are_those_of_the_environment(config: Config) -> None:
    assert published(config.services()).keys() >= {("eventhubs", 5672), ("eventhubs", 9092), ("servicebus", 5672)}
    environ = {
        "SONGLINE_EVENTHUBS_PORT": "21001",
        "SONGLINE_KAFKA_PORT": "21002",
        "SONGLINE_CONTROL_PORT": "21003",
        "SONGLINE_SERVICEBUS_PORT": "21004",
        "SONGLINE_COSMOS_PORT": "21005",
        "SONGLINE_BLOB_PORT": "21006",
    }
    services = config.services(**environ)
    ports = {key: port for key, (_, port) in published(services).items()}
    assert ports["eventhubs", 5672] == 21001
    assert ports["eventhubs", 9092] == 21002
    assert ports["eventhubs", 5300] == 21003
    assert ports["servicebus", 5672] == 21004
    # Cosmos DB tells its clients the address to go on with.
    assert ports["cosmos", 21005] == 21005
    assert services["cosmos"]["environment"]["PORT"] == "21005"
    assert ports["azurite", 10000] == 21006
    assert environ.keys() <= set(PORTS.values())


def test_the_emulators_read_the_files_that_localcloud_reads(config: Config) -> None:
    mounted = {}
    for name, service in config.services().items():
        for volume in service.get("volumes", []):
            outside, _, mode = volume.split(":")
            assert mode == "ro"
            mounted[name] = (ROOT / outside).resolve(strict=True)
    assert mounted == {name: emulator_files.files(name)[0].resolve() for name in ("eventhubs", "servicebus")}


def test_what_waits_for_health_waits_for_something_that_has_a_health_check(config: Config) -> None:
    services = config.services()
    waits = [(other, how["condition"]) for s in services.values() for other, how in s.get("depends_on", {}).items()]
    assert {other for other, condition in waits if condition == "service_healthy"} == {"azurite", "sqlserver"}
    assert all("healthcheck" in services[other] for other, condition in waits if condition == "service_healthy")
    asked = " ".join(services["ready"]["healthcheck"]["test"])
    assert all(host in services for host in re.findall(r"http://([a-z]+):", asked))
    assert set(services["ready"]["depends_on"]) == set(re.findall(r"http://([a-z]+):", asked))


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_without_licences_or_password_it_says_what_to_do(config: Config, name: str) -> None:
    done = config.run({**NEEDED, name: ""})
    assert done.returncode != 0
    assert f"{name} is missing a value" in done.stderr
    assert ".env.example" in done.stderr
    assert f"\n{name}=" in (ROOT / ".env.example").read_text(encoding="utf-8")


def test_the_example_names_every_variable_with_its_default() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(SONGLINE_\w+):-(\d+)\}", COMPOSE_FILE.read_text(encoding="utf-8")))
    assert used >= {("SONGLINE_PORT", "8000"), ("SONGLINE_LIBRARY_PORT", "8004")}
    assert used == set(re.findall(r"^# (SONGLINE_\w+)=(\d+)$", example, re.MULTILINE))
