"""The catalog worker as a process of its own, what it is told, and the songs that it writes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from songline.processors.catalog.refolding import MARK
from songline.schemas.channels import SONGS
from songline.schemas.ownership import Claim, enqueued_second
from songline.schemas.progress import PROGRESS
from songline.schemas.songs import Fact, Song, SongDocument
from tests.support.localcloud import LocalCloud
from tests.support.process import WorkerProcess
from tests.support.projection import Projection, told

# Quick for tests: a killed worker is missed soon.
DIALS = {
    "SONGLINE_CATALOG_FLUSH": "0.2",
    "SONGLINE_CATALOG_LOOK": "0.5",
    "SONGLINE_CATALOG_BALANCE": "0.5",
    "SONGLINE_CATALOG_EXPIRE": "3",
}


def stated(song: Song, position: int = 1) -> Fact:
    """What an upload of `song` says, at `position` of a partition."""
    claim = Claim(enqueued_second(song.uploaded_at), position)
    return Fact(position=position, at=song.uploaded_at, song=song, user_id=song.user_id, claim=claim)


def taken_away(user_id: str, at: datetime, position: int) -> Fact:
    """What a removal says, at `position` of a partition."""
    return Fact(position=position, at=at, user_id=user_id)


class CatalogWorker(WorkerProcess):
    """`python -m songline.processors.catalog`, or another `module`, on a localcloud; what it says goes to `log`."""

    def __init__(
        self,
        cloud: LocalCloud,
        log: Path,
        dials: Mapping[str, str] = DIALS,
        module: str = "songline.processors.catalog",
    ) -> None:
        super().__init__(module, {**cloud.environment, **dials}, log)


class Catalog(Projection):
    """The songs."""

    async def song(self, song_id: str) -> SongDocument | None:
        query = self.container.query_items("SELECT * FROM c", partition_key=song_id)
        return next(iter([msgspec.convert(item, SongDocument) async for item in query]), None)

    async def songs(self) -> dict[str, SongDocument]:
        query = self.container.query_items(f"SELECT * FROM c WHERE c.id NOT IN ('{PROGRESS}', '{MARK}')")
        return {item["id"]: msgspec.convert(item, SongDocument) async for item in query}


@asynccontextmanager
async def catalog_on(cloud: LocalCloud) -> AsyncIterator[Catalog]:
    async with told(cloud, SONGS) as (producer, container):
        yield Catalog(producer, container)
