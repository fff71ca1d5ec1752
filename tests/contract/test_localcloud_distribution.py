"""localcloud as a distribution of its own: what its wheel holds, and that it runs where nothing else is installed.

The environment is empty but for the wheel and its dependencies, which are packed from what is installed here: no index
is asked. Not tested: that these versions are on an index, and `localcloud install-blobs`, which asks npm's.
"""

import json
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from azure.cosmos import CosmosClient
from azure.eventhub import EventData, EventHubProducerClient
from packaging.requirements import Requirement

from localcloud.node import oldest
from localcloud.testing import LocalCloud
from tests.support.wheels import ROOT, Environment, build, pack_installed

PROJECT = ROOT / "packages" / "localcloud"
NAME = "localcloud-azure"
SERVICES = ("eventhubs", "kafka", "servicebus", "servicebus-admin", "cosmos", "control", "blob", "identity")
OTHER_PROJECT = re.compile(rb"songline", re.IGNORECASE)
AUTHORS = b"the Songline authors"


def closure(name: str) -> set[str]:
    """A distribution with all that it needs, extras left out."""
    found, open_ = set[str](), [name]
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            needed = map(Requirement, requires(name) or ())
            open_ += [need.name for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    names = folder / "names.txt"
    names.write_text("".join(f"{name}==0\n" for name in closure(NAME) - {NAME}))
    pack_installed(folder, names)
    build(PROJECT, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(wheels: Path) -> Iterator[zipfile.ZipFile]:
    (file,) = wheels.glob("localcloud_azure-*.whl")
    with zipfile.ZipFile(file) as opened:
        yield opened


def test_the_wheel_has_what_it_needs_and_no_more(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {
        "localcloud/py.typed",
        "localcloud/blobs/.npmrc",
        "localcloud/blobs/package.json",
        "localcloud/blobs/package-lock.json",
        *(
            f"localcloud/blobs/{name}.js"
            for name in (
                "acknowledged",
                "block_checksums",
                "damage",
                "index_pieces",
                "serve",
                "summed_extents",
                "synced_index",
            )
        ),
        "localcloud/cosmos/query/grammar.lark",
    } <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "node_modules" in name or "test_" in name]
    (points,) = [wheel.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert "localcloud = localcloud.__main__:main" in points
    assert "[pytest11]\nlocalcloud = localcloud.testing.plugin" in points


def test_nothing_in_it_is_about_another_project(wheel: zipfile.ZipFile) -> None:
    def is_about(text: bytes) -> bool:
        return bool(OTHER_PROJECT.search(text.replace(AUTHORS, b"")))

    assert not [name for name in wheel.namelist() if is_about(wheel.read(name))]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "."], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    files = [PROJECT / name for name in listed.stdout.splitlines()]
    assert PROJECT / "README.md" in files
    assert not [file for file in files if file.is_file() and is_about(file.read_bytes())]


def test_it_runs_where_nothing_else_is_installed(wheels: Path, tmp_path: Path) -> None:
    """Without a Node, or without Azurite, one line says so; everything else is served to the SDKs."""
    environment = Environment(tmp_path / "venv", wheels)
    environment.install(NAME)
    assert set(environment.packages()) == closure(NAME)
    hubs = {"UserConfig": {"NamespaceConfig": [{"Entities": [{"Name": "orders", "PartitionCount": 1}]}]}}
    (tmp_path / "hubs.json").write_text(json.dumps(hubs))
    command: list[str | Path] = [environment.python.with_name("localcloud"), "--data", "data", "--config", "hubs.json"]
    ports = [f"--{name}-port=0" for name in SERVICES]
    clean = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [*command, *ports, "--blobs", "--until-eof"],
            cwd=tmp_path, env=clean, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        line = process.stdout.readline()
        assert line, (tmp_path / "log").read_text()
        cloud = LocalCloud(json.loads(line)["ready"], tmp_path / "data" / "servicebus" / "tls" / "certificate.pem")
        assert set(cloud.ports) == set(SERVICES) - {"blob"}
        said = cloud.control("GET", "/health")["unavailable"]["blob"]
        assert re.fullmatch(r"Blob Storage needs .*; `localcloud install-blobs` brings (it|one)", said)
        with EventHubProducerClient.from_connection_string(
            cloud.eventhub_connection_string, eventhub_name="orders"
        ) as producer:
            producer.send_event(EventData("tea"))
        (hub,) = cloud.control("GET", "/hubs")
        assert hub["partitions"] == [{"begin": 0, "end": 1}]
        cloud.create_container("shop/orders", "/customerId")
        with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key) as client:
            orders = client.get_database_client("shop").get_container_client("orders")
            orders.create_item({"id": "1", "customerId": "c"})
            assert [item["id"] for item in orders.read_all_items()] == ["1"]
        process.stdin.close()
        assert process.wait(30) == 0
    logged = (tmp_path / "log").read_text().splitlines()
    assert [entry for entry in logged if entry.startswith("ERROR")] == [f"ERROR localcloud: {said}"]


def test_the_readme_says_what_its_pages_and_the_code_say() -> None:
    text = (PROJECT / "README.md").read_text()
    rows = list(re.finditer(r"^\| \[[^\]]+\]\((docs/[\w.-]+).*$", text, re.MULTILINE))
    told = {(row[1], figure) for row in rows for figure in re.findall(r"\d+ of \d+", row[0])}
    assert told
    assert {(page, figure) for page, figure in told if figure not in (PROJECT / page).read_text()} == set()
    assert f"of version {oldest()} or newer" in text


def test_the_page_of_the_plugin_tells_all_that_a_namespace_has() -> None:
    page = (PROJECT / "docs" / "pytest.md").read_text()
    has = {name for name in (*vars(LocalCloud), "ports", "keys") if not name.startswith("_")}
    assert {name for name in has if not re.search(rf"`{name}\b", page)} == set()
