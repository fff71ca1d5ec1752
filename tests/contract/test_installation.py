"""The wheel in environments of its own: what each extra brings, and what is said where one is missing."""

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from songline.cloud.extras import DISTRIBUTION
from tests.support.localcloud import LocalCloud
from tests.support.wheels import ROOT, Environment, build, build_through_source, pack_installed

MAX_PACKAGES = 12
WORKERS = ("trending", "catalog", "library", "ingestion")

SERVICE = """
import asyncio
import os
from datetime import UTC, datetime

from schemas import GREETING
from songline import Event, EventPublisher, SongPlayed, read_eventhubs


async def main() -> None:
    async with EventPublisher(read_eventhubs(os.environ)) as publisher:
        data = SongPlayed(user_id="user-7", song_id="song-42", played_ms=184_000, duration_ms=201_000, region="DE")
        print(GREETING, await publisher.publish(Event(id="e-1", source="/shop", time=datetime.now(UTC), data=data)))


asyncio.run(main())
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    pack_installed(folder, ROOT / "requirements" / "run.txt")
    build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def bare(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the distribution alone."""
    environment = Environment(tmp_path_factory.mktemp("bare") / "venv", wheels)
    environment.install(DISTRIBUTION)
    return environment


@pytest.fixture
def localcloud(tmp_path: Path) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path / "cloud").start()
    yield cloud
    cloud.stop()


def test_a_service_with_schemas_of_its_own_publishes(bare: Environment, localcloud: LocalCloud, tmp_path: Path) -> None:
    service = tmp_path / "service"
    (service / "schemas").mkdir(parents=True)
    (service / "schemas" / "__init__.py").write_text('GREETING = "published"\n')
    (service / "main.py").write_text(SERVICE)
    done = subprocess.run(
        [bare.python, "main.py"], cwd=service, env=localcloud.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("published ")


def test_the_distribution_alone_brings_few_packages(bare: Environment) -> None:
    packages = bare.packages()
    assert DISTRIBUTION in packages
    assert len(packages) - 1 <= MAX_PACKAGES, packages
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert all(f"`{name}`" in page for name in packages), "docs/dependencies.md lists what the distribution brings"


@pytest.mark.parametrize("project", [ROOT, ROOT / "packages" / "localcloud"], ids=["songline", "localcloud"])
def test_a_wheel_is_the_same_by_way_of_a_source_distribution(project: Path, tmp_path: Path) -> None:
    """Links to folders are followed into a wheel, and are not into a source distribution."""
    names = []
    for way in (build, build_through_source):
        folder = tmp_path / way.__name__
        folder.mkdir()
        with zipfile.ZipFile(way(project, folder)) as wheel:
            names.append(sorted(wheel.namelist()))
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("songline", "cli"),
        ("songline.processors.trending", "workers"),
        ("songline.processors.catalog", "workers"),
        ("songline.processors.library", "workers"),
        ("songline.processors.ingestion", "workers"),
        ("songline.projections", "api"),
        ("songline.api", "api"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(bare: Environment, tmp_path: Path, module: str, extra: str) -> None:
    done = subprocess.run(
        [bare.python, "-m", module], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"which is not installed: pip install '{DISTRIBUTION}[{extra}]'")


def test_so_is_the_one_for_entra(bare: Environment, tmp_path: Path) -> None:
    script = "from songline.cloud.credentials import entra\nentra()"
    done = subprocess.run([bare.python, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith(f"pip install '{DISTRIBUTION}[entra]'")


@pytest.mark.parametrize(
    ("extra", "modules"),
    [
        ("entra", ["songline.cloud.credentials"]),
        (
            "workers",
            [f"songline.processors.{name}.process" for name in ("trending", "catalog", "library", "ingestion")],
        ),
        ("api", ["songline.api.app", "songline.projections.process"]),
        ("cli", ["songline.cli", "songline.commands.doctor", "songline.commands.upload", "songline.commands.simulate"]),
    ],
)
def test_an_extra_brings_all_that_its_modules_import(
    wheels: Path, tmp_path: Path, extra: str, modules: list[str]
) -> None:
    environment = Environment(tmp_path / "venv", wheels)
    environment.install(f"{DISTRIBUTION}[{extra}]")
    script = "".join(f"import {module}\n" for module in modules)
    script += "from songline.cloud.credentials import entra\nentra()\n" if extra == "entra" else ""
    done = subprocess.run([environment.python, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
