"""The library worker's preparation."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from songline.cloud import cosmos
from songline.processors.library import process
from songline.processors.library.config import LibraryConfig
from songline.processors.library.process import LibraryParts
from songline.processors.runtime.hub_metadata import HubDescription
from songline.schemas.projections import LiveVersionDocument


class Hub:
    async def describe(self) -> HubDescription:
        return HubDescription(datetime(2026, 11, 28, tzinfo=UTC), frozenset("0123"))


async def test_a_worker_that_tries_again_waits_for_no_lease_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    async def read_or_create(container: Any, partitions: int, fill: Any) -> LiveVersionDocument:
        names.append(fill.args[0].worker)
        return LiveVersionDocument(id="library", version=1, shelves=partitions)

    def nothing(*_: Any) -> Any:
        return None

    monkeypatch.setattr(process, "read_or_create", read_or_create)
    monkeypatch.setattr(cosmos, "container", nothing)
    one, other = (LibraryParts(LibraryConfig()) for _ in range(2))
    for parts in (one, one, other):
        await parts.prepare(cast("Any", None), cast("Any", Hub()), nothing)
    assert names[0] == names[1] != names[2]
