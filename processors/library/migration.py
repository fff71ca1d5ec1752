"""Libraries of the former version, which are in the container `library`, become rows of shelves before a worker reads.

One worker does it, and the others wait; if it dies, the next goes on behind the last listeners that it recorded. Rows
are a set, so what is written twice is there once. The live version is made when all is there: until then nothing reads
the shelves. The former documents stay as they are.
"""

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from msgspec import Struct, structs

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.library.former_library import TornLibraryError, carried_actions
from songline.processors.library.shelf_store import ShelfStore
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.library.action import UserAction
from songline.schemas.library.listener_documents import SUMMARY, EntryDocument, SummaryDocument
from songline.schemas.library.shelf import shelf_key, shelf_of, user_digits
from songline.schemas.progress import PROGRESS, Watermark, WatermarkDocument
from songline.schemas.projections import LIBRARY_MIGRATION, LiveVersionDocument, MigrationDocument

log = logging.getLogger(__name__)

T = TypeVar("T")

LEASE_S = 20.0
"""A worker that has not recorded for so long how far it is has died; another one goes on."""

RECORD_S = 2.0
"""How often the worker records how far it is."""

LISTENERS_AT_ONCE = 100
"""So many listeners' documents are read, and written in one flush."""

READS_AT_ONCE = 16
TRIES = 5
"""So often a listener's documents are read again while they don't add up."""

_PAUSE_S = 1.0


class MigrationParts(Struct, frozen=True):
    """What a migration reads and writes: the container of the `former` documents, that of the `shelves` with the
    `store` of what is in it, and that of the `projections`' documents. `worker` is a name that no other worker has.
    `say` is called with what is done at the moment, in a sentence."""

    former: ContainerProxy
    shelves: ContainerProxy
    store: ShelfStore
    projections: ContainerProxy
    worker: str
    say: Callable[[str], None]


async def migrate(parts: MigrationParts, first: LiveVersionDocument) -> LiveVersionDocument:
    """Return the version that may be made live once all libraries of the former version are in it: `first`, or with
    the shelves that an earlier try had. Returns at once where there are none. Raises AzureError."""
    found = await _read(parts.former, PROGRESS)
    if found is None:
        return first
    done = await _Migration(parts, first, convert(found, WatermarkDocument).partitions).run()
    # What the former worker had applied when this began: what came later is read from the hub.
    applied = msgspec.to_builtins(WatermarkDocument(id=PROGRESS, partitions=done.progress))
    with suppress(CosmosResourceExistsError):
        await parts.shelves.create_item({**applied, "shelf": PROGRESS}, no_response=True)
    return structs.replace(first, version=done.version, shelves=done.shelves)


class _Migration:
    def __init__(self, parts: MigrationParts, first: LiveVersionDocument, progress: dict[str, Watermark]) -> None:
        self._parts = parts
        self._document = MigrationDocument(
            id=LIBRARY_MIGRATION,
            version=first.version,
            shelves=first.shelves,
            worker=parts.worker,
            recorded_at=_now(),
            progress=progress,
        )
        self._etag = ""
        self._recorded_s = 0.0

    async def run(self) -> MigrationDocument:
        """Return once all listeners are converted, by this worker or by another one."""
        while True:
            if not await self._take():
                await asyncio.sleep(_PAUSE_S)
            elif self._document.is_done:
                return self._document
            else:
                # Another worker may take over where this one is held up.
                with suppress(CosmosAccessConditionFailedError):
                    await self._convert()

    async def _take(self) -> bool:
        """Take the migration over unless another worker does it; return whether it is taken, or done."""
        found = await _read(self._parts.projections, LIBRARY_MIGRATION)
        if found is None:
            try:
                found = dict(await self._parts.projections.create_item(msgspec.to_builtins(self._document)))
            except CosmosResourceExistsError:
                return False
            log.info(
                "libraries of the former version are converted from the container `library`; its documents stay, and "
                "the new ones take about a third of their room in addition"
            )
        self._document, self._etag = convert(found, MigrationDocument), found["_etag"]
        if self._document.is_done or self._document.worker == self._parts.worker:
            return True
        if _now() - self._document.recorded_at < timedelta(seconds=LEASE_S):
            self._parts.say(f"another worker converts libraries of the former version: {_so_far(self._document)}")
            return False
        try:
            await self._record(worker=self._parts.worker)
        except CosmosAccessConditionFailedError:
            return False
        return True

    async def _convert(self) -> None:
        users = await self._renewing(self._users())
        # A million listeners take some ten seconds.
        places = await self._renewing(asyncio.to_thread(_places, users, self._document.shelves))
        done = bisect_right(places, self._document.cursor, key=_cursor)
        await self._record(listeners=len(places), converted=done)
        began_s, converted = time.monotonic(), done
        while converted < len(places):
            following = places[converted : converted + LISTENERS_AT_ONCE]
            shelf = following[0][0]
            some = [place for place in following if place[0] == shelf]
            await self._renewing(self._convert_some(shelf, [user for _, _, user in some]))
            converted += len(some)
            self._document = structs.replace(self._document, cursor=_cursor(some[-1]), converted=converted)
            rate = (converted - done) / max(time.monotonic() - began_s, 0.001)
            left_s = (len(places) - converted) / rate
            text = f"{_so_far(self._document)}, {rate:.0f} a second, about {left_s:.0f} s left"
            self._parts.say(f"libraries of the former version are converted: {text}")
            if time.monotonic() - self._recorded_s >= RECORD_S:
                await self._record()
                log.info("libraries of the former version: %s", text)
        await self._record(is_done=True)
        log.info(
            "libraries of the former version: all %d listeners are converted; the container `library` is not used any "
            "more and can be deleted",
            len(places),
        )

    async def _renewing(self, work: Awaitable[T]) -> T:
        """The result of `work`, during which the lease is renewed every RECORD_S seconds. Raises
        CosmosAccessConditionFailedError where another worker took over."""
        working = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait((working,), timeout=RECORD_S))[0]:
                await self._record()
        finally:
            working.cancel()
            await asyncio.wait((working,))
        return working.result()

    async def _convert_some(self, shelf: int, users: Sequence[str]) -> None:
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def one(user_id: str) -> list[UserAction]:
            async with gate:
                return await self._carried(user_id)

        rows = [row for each in await gather_or_cancel(map(one, users)) for row in each]
        await self._parts.store.add(shelf_key(self._document.version, shelf), rows)

    async def _carried(self, user_id: str) -> list[UserAction]:
        """The rows of a listener. Documents that never add up count as they are, and one that can't be understood is
        left out: nothing may end a migration."""
        tries = 0
        while True:
            items = self._parts.former.query_items("SELECT * FROM c", partition_key=user_id)
            documents = [dict(item) async for item in items]
            summaries = _understood((one for one in documents if one["id"] == SUMMARY), SummaryDocument)
            entries = _understood((one for one in documents if one["id"] != SUMMARY), EntryDocument)
            summary = summaries[0] if summaries else SummaryDocument(id=SUMMARY, user_id=user_id)
            tries += 1
            try:
                return carried_actions(summary, entries, strict=tries < TRIES)
            except TornLibraryError as error:
                log.warning("read again: %s", error)
                await asyncio.sleep(_PAUSE_S)

    async def _users(self) -> list[str]:
        query = "SELECT VALUE c.userId FROM c WHERE c.id = @id"
        found = self._parts.former.query_items(query, parameters=[{"name": "@id", "value": SUMMARY}])
        return [str(user) async for user in found]

    async def _record(self, **changes: Any) -> None:
        """Raises CosmosAccessConditionFailedError where another worker took over."""
        document = structs.replace(self._document, recorded_at=_now(), **changes)
        found = await self._parts.projections.replace_item(
            LIBRARY_MIGRATION,
            msgspec.to_builtins(document),
            etag=self._etag,
            match_condition=MatchConditions.IfNotModified,
        )
        self._document, self._etag, self._recorded_s = document, found["_etag"], time.monotonic()


def _places(users: Iterable[str], shelves: int) -> list[tuple[int, str, str]]:
    """The listeners with their shelves and digits, in the order in which they are converted."""
    return sorted((shelf_of(user, shelves), user_digits(user), user) for user in users)


def _understood(documents: Iterable[Mapping[str, Any]], kind: type[T]) -> list[T]:
    """The documents that are of this kind. The others are logged."""
    found = []
    for document in documents:
        try:
            found.append(convert(dict(document), kind))
        except PoisonError as poison:
            log.error(
                "document %r of listener %r in the container `library` is left out of the libraries: %s; mend it "
                "before the container is deleted, and report it",
                document["id"],
                document.get("userId"),
                poison,
            )
    return found


def _cursor(place: tuple[int, str, str]) -> str:
    """A text that sorts as the places of listeners do."""
    shelf, digits, user_id = place
    return f"{shelf:06} {digits} {user_id}"


def _so_far(document: MigrationDocument) -> str:
    return f"{document.converted:,} of {document.listeners:,} listeners"


async def _read(container: ContainerProxy, document_id: str) -> dict[str, Any] | None:
    """The document whose id is its partition key too; None where it, or the container, is not there."""
    try:
        return dict(await container.read_item(document_id, document_id))
    except CosmosResourceNotFoundError:
        return None


def _now() -> datetime:
    return datetime.now(UTC)
