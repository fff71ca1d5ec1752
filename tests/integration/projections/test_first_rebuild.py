"""Readers of the live version while the first rebuild of a projection makes its documents."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from songline.cloud import cosmos
from songline.processors.history.versions.version_store import VersionStore
from songline.processors.runtime import live_version
from songline.projections.live_version import LiveVersionReader
from songline.projections.store import DocumentStore
from songline.schemas.channels import CHARTS, DATABASE, PLAYS, PROJECTIONS
from songline.schemas.projections import LiveVersionDocument


@pytest.fixture
def container(database: CosmosClient) -> ContainerProxy:
    return cosmos.container(database, DATABASE, PROJECTIONS)


async def make(container: ContainerProxy, projection: str) -> LiveVersionDocument:
    """What a rebuild makes before all else: it says which version is live, then it describes that."""
    live = LiveVersionDocument(id=projection, version=1)
    await VersionStore(container, lambda: datetime.now(UTC)).ensure(live)
    return live


async def test_an_answer_takes_no_document_for_lost_that_was_made_while_it_read(
    container: ContainerProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = DocumentStore.read
    made: list[LiveVersionDocument] = []

    async def slowly(store: DocumentStore, item: str, *rest: Any) -> Any:
        found = await read(store, item, *rest)
        if not made:
            made.append(await make(container, CHARTS))
        return found

    monkeypatch.setattr(DocumentStore, "read", slowly)
    assert await LiveVersionReader(DocumentStore(container), CHARTS, time.monotonic).read() == made[0]


async def test_a_worker_takes_no_document_for_lost_that_was_made_while_it_read(
    container: ContainerProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = live_version.read_document
    begun: list[str] = []
    made: list[LiveVersionDocument] = []

    async def slowly(versions: ContainerProxy, item: str) -> dict[str, Any] | None:
        found = await read(versions, item)
        if not begun:
            begun.append(item)
            made.append(await make(container, PLAYS))
        return found

    monkeypatch.setattr(live_version, "read_document", slowly)
    assert await live_version.read(container, PLAYS) == made[0]
