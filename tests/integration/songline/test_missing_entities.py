"""Commands about the history say which database, container or hub is missing, and not that a service is away."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from songline.cli import main
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processes.entities import CONTAINERS
from songline.schemas.channels import DATABASE, ERASURES, MUSIC_EVENTS, PARKED, PROJECTIONS
from tests.support.localcloud import LocalCloud

VERSIONS = (
    *(("rebuild", projection) for projection in ("charts", "plays", "library", "songs")),
    ("projection", "list"),
    ("projection", "compare", "library"),
    ("projection", "switch", "library", "2"),
    ("projection", "rollback", "songs"),
    ("projection", "drop", "charts", "2"),
)
LISTENERS = (
    ("forget", "list"),
    ("forget", "show", "an-id"),
    ("forget", "anna", "--songs", "keep", "--yes"),
    ("forget", "anna", "--dry-run"),
    ("export", "anna", "-o", "held"),
    ("export", "anna", "--listenbrainz", "-o", "held"),
)


def said(cloud: LocalCloud, arguments: Sequence[str], code: int = 2) -> str:
    found = CliRunner().invoke(main, list(arguments), env=dict(cloud.environment), catch_exceptions=False)
    assert found.exit_code == code, (arguments, found.output)
    assert "can't be reached" not in found.output, (arguments, found.output)
    return found.output


async def make_containers(cloud: LocalCloud, *but: str) -> None:
    async with cosmos.client(read_cosmos(cloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, CONTAINERS)
        for name in but:
            await account.get_database_client(DATABASE).delete_container(name)


@pytest.fixture
def cloud(own_cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalCloud:
    monkeypatch.chdir(tmp_path)
    return own_cloud


def test_what_is_missing_is_named(cloud: LocalCloud) -> None:
    for arguments in (*VERSIONS, *LISTENERS, ("parked", "list")):
        assert f"Cosmos DB has no database {DATABASE}: `songline doctor`" in said(cloud, arguments)

    asyncio.run(make_containers(cloud, PROJECTIONS, ERASURES, PARKED))
    for arguments in VERSIONS:
        assert f"no container {PROJECTIONS} in the database {DATABASE}" in said(cloud, arguments)
    for arguments in LISTENERS[:3]:
        assert f"no container {ERASURES} in the database {DATABASE}" in said(cloud, arguments)
    assert f"no container {PARKED} in the database {DATABASE}" in said(cloud, ("parked", "list"))

    asyncio.run(make_containers(cloud))
    cloud.control("DELETE", f"/hubs/{MUSIC_EVENTS}")
    for arguments in (
        ("rebuild", "songs"),
        ("projection", "list", "songs"),
        ("forget", "anna", "--dry-run"),
        ("export", "--events", "-o", "events"),
        ("sql", "select count(*) from played"),
    ):
        assert f"Event Hubs has no hub {MUSIC_EVENTS}: `songline doctor`" in said(cloud, arguments)
