"""What a listener brought along: their documents in the container `imports`, and files that are still staged."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import structs

from songline.processors.history.erasure.job import ErasureJob, HeldRecord, StepResult
from songline.processors.ingestion.audio_store import AudioStore
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.imports import HistoryImport

_ALL = "SELECT * FROM c"
IMPORT = "import"
_KINDS = {IMPORT: "imports", "recording": "recordings"}
"""What is counted, by the kind of document."""


class ListenerImports:
    """The container `imports`, where a listener's documents are one logical partition."""

    name = "imports"

    def __init__(self, container: ContainerProxy, audio: AudioStore) -> None:
        self._container = container
        self._audio = audio

    async def run(self, job: ErasureJob) -> StepResult:
        """Delete the listener's imports with what is staged of them. Those that came after the bounds were fixed are of
        a listener who began anew."""
        counts: dict[str, int] = {}
        noted = job.erasure.imports
        later = {one.id async for one in self.imports(job.user_id) if job.is_later(one.id, one.received_at, noted)}
        async for item in self._documents(job.user_id):
            if later & {item["id"], item.get("importId")}:
                continue
            if blob := item.get("blob"):
                await self._audio.unstage(str(blob))
            with suppress(CosmosResourceNotFoundError):
                await self._container.delete_item(item["id"], job.user_id)
                kind = _KINDS.get(str(item.get("kind")), "pages of imports")
                counts[kind] = counts.get(kind, 0) + 1
        # Those that are left came later.
        await job.change(lambda before: structs.replace(before, imports=()))
        return StepResult(counts)

    async def imports(self, user_id: str) -> AsyncIterator[HistoryImport]:
        """The listener's imports that can be understood, without their pages."""
        async for item in self._documents(user_id):
            if item.get("kind") == IMPORT:
                with suppress(PoisonError):
                    yield convert(item, HistoryImport)

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """Imports, pages of the listens that they took, and recordings that players have named."""
        async for item in self._documents(user_id):
            value = {name: part for name, part in item.items() if not name.startswith("_")}
            yield HeldRecord(place=self.name, kind=str(item.get("kind", IMPORT)), id=str(item["id"]), value=value)

    async def _documents(self, user_id: str) -> AsyncIterator[dict[str, Any]]:
        # A system whose containers were made by an older release has none.
        with suppress(CosmosResourceNotFoundError):
            async for item in self._container.query_items(_ALL, partition_key=user_id):
                yield dict(item)
