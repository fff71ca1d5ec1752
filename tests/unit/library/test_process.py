"""The library worker's preparation."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from songline.cloud import cosmos
from songline.processors.library import process
from songline.processors.library.config import LibraryConfig
from songline.processors.library.migration import MigrationParts
from songline.processors.library.process import LibraryParts
from songline.processors.runtime import live_version
from songline.processors.runtime.hub_metadata import HubDescription
from songline.schemas.projections import LiveVersionDocument


class Hub:
    async def describe(self) -> HubDescription:
        return HubDescription(datetime(2026, 11, 28, tzinfo=UTC), frozenset("0123"))


async def test_a_worker_that_tries_again_waits_for_no_lease_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    async def migrate(parts: MigrationParts, first: LiveVersionDocument) -> LiveVersionDocument:
        names.append(parts.worker)
        return first

    async def create(container: Any, first: LiveVersionDocument) -> LiveVersionDocument:
        return first

    def nothing(*_: Any) -> Any:
        return None

    monkeypatch.setattr(process, "migrate", migrate)
    monkeypatch.setattr(live_version, "create", create)
    monkeypatch.setattr(cosmos, "container", nothing)
    one, other = (LibraryParts(LibraryConfig()) for _ in range(2))
    for parts in (one, one, other):
        live = await parts.make_first(cast("Any", None), cast("Any", Hub()), nothing)
        assert live == LiveVersionDocument(id="library", version=1, shelves=4)
    assert names[0] == names[1] != names[2]
