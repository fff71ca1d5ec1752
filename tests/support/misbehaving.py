"""`python -m tests.support.misbehaving`: the library worker, with a fold that misbehaves on songs that ask for it."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from azure.cosmos.aio import ContainerProxy

from songline.processors.library.config import PREFIX, LibraryConfig
from songline.processors.library.process import LibraryParts
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.partition_processor import OpenProcessor, PartitionProcessor
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.process import run_worker
from songline.processors.runtime.projection_config import ProjectionEnvironment
from songline.processors.runtime.projection_worker import ProjectionDefinition, run_projection
from songline.processors.runtime.service_errors import ItemRefusedError
from songline.schemas.channels import LIBRARY, LIBRARY_GROUP
from songline.schemas.errors import PoisonError
from songline.schemas.projections import LiveVersionDocument

RAISES, HANGS_ONCE, KILLS, RAISES_IN_FLUSH = "song-raises", "song-hangs", "song-kills", "song-raises-late"
REFUSED = "song-refused"
"""What is made of it is more than the store takes."""

HUNG = "SONGLINE_TEST_HUNG"


class MisbehavingProcessor:
    """Does what the songs of its records ask for, and the rest as `inner` does. It has hung where `hung` is a file."""

    def __init__(self, inner: PartitionProcessor, hung: Path) -> None:
        self._inner = inner
        self._hung = hung
        self._late = self._refused = 0

    @property
    def is_full(self) -> bool:
        return self._inner.is_full

    async def process(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        for record in records:
            if f'"{KILLS}"'.encode() in record.body:
                os.kill(os.getpid(), signal.SIGKILL)
            if f'"{HANGS_ONCE}"'.encode() in record.body and not self._hung.exists():
                self._hung.touch()
                time.sleep(3_600)  # noqa: ASYNC251  # nothing else of the process gets a turn, which is the point
            if f'"{RAISES}"'.encode() in record.body:
                raise ZeroDivisionError(f"no fold for the record at {record.position}")
            self._late += f'"{RAISES_IN_FLUSH}"'.encode() in record.body
            self._refused += f'"{REFUSED}"'.encode() in record.body
        return await self._inner.process(records)

    async def flush(self) -> None:
        await asyncio.sleep(0)
        if self._late:
            raise LookupError("no write for it")
        if self._refused:
            raise ItemRefusedError("413: a document of 3 MB")
        await self._inner.flush()

    def close(self) -> None:
        self._inner.close()


def projection(config: LibraryConfig) -> ProjectionDefinition:
    parts = LibraryParts(config)

    def opens(container: ContainerProxy, live: LiveVersionDocument) -> OpenProcessor:
        inner = parts.open_with(container, live)

        def make(partition: str, retries: PersistentRetry) -> PartitionProcessor:
            return MisbehavingProcessor(inner(partition, retries), Path(os.environ[HUNG]))

        return make

    return ProjectionDefinition("library", LIBRARY_GROUP, LIBRARY, "shelf", opens, make_first=parts.make_first)


def main() -> None:
    environ = os.environ
    run_worker(
        "library",
        lambda stop: run_projection(
            projection(LibraryConfig.read(environ)), ProjectionEnvironment.read(environ, PREFIX, 0.5), stop
        ),
    )


if __name__ == "__main__":
    main()
