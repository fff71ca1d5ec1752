"""The documents of versions in the container `projections`, and the one that says which version is live."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct, structs

from songline.cloud.cosmos import OVERTAKEN
from songline.processors.runtime import live_version
from songline.processors.runtime.live_version import read_document
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.projections import (
    DamagedVersionError,
    LiveVersionDocument,
    VersionDocument,
    version_id,
)
from songline.schemas.projections import live_version as understood

_OF_PROJECTION = "SELECT * FROM c WHERE c.projection = @projection"


class VersionOvertakenError(Exception):
    """Another process changed the version, or which one is live, meanwhile. Look again, then repeat the command."""


class NoVersionsError(Exception):
    """There is no container for the documents of versions; the message says what to do."""


class StoredVersion(Struct, frozen=True):
    """A version's document as it was read or written, with its ETag."""

    document: VersionDocument
    etag: str


class VersionStore:
    """The container `projections`. `now` gives the time of day. Methods raise AzureError, and DamagedVersionError for a
    document that can't be understood."""

    def __init__(self, projections: ContainerProxy, now: Callable[[], datetime]) -> None:
        self._projections = projections
        self._now = now

    async def check(self) -> None:
        """Raise AzureError where the container can't be read. Without it, the first versions would seem to be live."""
        await self._projections.read()

    async def live(self, projection: str) -> LiveVersionDocument:
        """Which version is live."""
        return await live_version.read(self._projections, projection)

    async def read(self, projection: str, version: int) -> StoredVersion | None:
        """The version's document, None where there is none."""
        item = await read_document(self._projections, version_id(projection, version))
        return None if item is None else StoredVersion(_understood(item), item["_etag"])

    def now(self) -> datetime:
        """The time of day."""
        return self._now()

    async def read_all(self, projection: str) -> list[VersionDocument]:
        """All versions of the projection that have a document, by number."""
        return [one.document for one in await self._read_all(projection)]

    async def _read_all(self, projection: str) -> list[StoredVersion]:
        parameters: list[dict[str, object]] = [{"name": "@projection", "value": projection}]
        items = self._projections.query_items(_OF_PROJECTION, parameters=parameters)
        try:
            found = [StoredVersion(_understood(dict(item)), item["_etag"]) async for item in items]
        except CosmosResourceNotFoundError:
            raise NoVersionsError(
                f"the container `{self._projections.id}` is not there, which says what versions there are: start the "
                "worker of a projection, which makes it, or create it with the other containers"
            ) from None
        return sorted(found, key=lambda one: one.document.version)

    async def create(self, document: VersionDocument) -> StoredVersion:
        """The new document. Raises VersionOvertakenError where there is one."""
        try:
            written = await self._projections.create_item(msgspec.to_builtins(document))
        except OVERTAKEN:
            raise VersionOvertakenError(_overtaken(document)) from None
        return StoredVersion(document, written["_etag"])

    async def replace(self, stored: StoredVersion, after: VersionDocument) -> StoredVersion:
        """`after` in the place of `stored`. Raises VersionOvertakenError where that has changed."""
        try:
            written = await self._projections.replace_item(
                after.id,
                msgspec.to_builtins(after),
                etag=stored.etag,
                match_condition=MatchConditions.IfNotModified,
            )
        except OVERTAKEN:
            raise VersionOvertakenError(_overtaken(after)) from None
        return StoredVersion(after, written["_etag"])

    async def ensure(self, live: LiveVersionDocument) -> StoredVersion:
        """The document of the live version, made where there is none: the first one is older than such documents.

        Once it is there, a live document that is gone is noticed. So that is made before it."""
        await live_version.create(self._projections, live)
        found = await self.read(live.id, live.version)
        if found is not None:
            return found
        # First, or a version would have a document while the live one seemed to be gone.
        await live_version.create(self._projections, live)
        now = self._now()
        document = VersionDocument(
            id=version_id(live.id, live.version),
            projection=live.id,
            version=live.version,
            state="live",
            since=now,
            started_at=now,
            shelves=live.shelves,
        )
        return await self.create(document)

    async def make_live(self, before: LiveVersionDocument | None, document: VersionDocument) -> None:
        """Make a version live instead of `before`, None where that is damaged, in one write; then say so in the
        documents of both. Raises VersionOvertakenError where another version became live meanwhile, or where this one
        was dropped: see `keep_live`."""
        after = LiveVersionDocument(id=document.projection, version=document.version, shelves=document.shelves)
        item = await read_document(self._projections, after.id)
        if before is not None and await self.live(after.id) != before:
            raise VersionOvertakenError(f"another version of {after.id} became live meanwhile: look again")
        # Behind the ETag: whoever drops the version says so first, and writes the live document then.
        stored = await self.read(after.id, after.version)
        if stored is not None and stored.document.state == "dropped":
            raise VersionOvertakenError(f"version {after.version} of {after.id} was dropped meanwhile: look again")
        body = msgspec.to_builtins(after)
        try:
            if item is None:
                await self._projections.create_item(body, no_response=True)
            else:
                await self._projections.replace_item(
                    after.id,
                    body,
                    etag=item["_etag"],
                    match_condition=MatchConditions.IfNotModified,
                    no_response=True,
                )
        except OVERTAKEN:
            raise VersionOvertakenError(f"another version of {after.id} became live meanwhile: look again") from None
        # It is live by now. Where another process changes a document meanwhile, the next one that looks settles it.
        with suppress(VersionOvertakenError):
            await self.settle(after.id)

    async def keep_live(self, projection: str) -> LiveVersionDocument:
        """The live version, whose document is written as it is. Another process that was about to make another version
        live, whatever it has read, is overtaken: it looks again."""
        while True:
            item = await read_document(self._projections, projection)
            if item is None:
                # `ensure` makes it before there is another version: nothing can be made live without it, but by force.
                return await self.live(projection)
            live = understood(projection, item)
            try:
                await self._projections.replace_item(
                    projection,
                    msgspec.to_builtins(live),
                    etag=item["_etag"],
                    match_condition=MatchConditions.IfNotModified,
                    no_response=True,
                )
            except OVERTAKEN:
                continue
            return live

    async def settle(self, projection: str) -> list[VersionDocument]:
        """All versions, after the states of those are mended that say otherwise than the live document: a switch is one
        write, and a process that ends behind it leaves the rest to the next one."""
        # What was read before the live document is not replaced where it has changed since: it may be dropped by now.
        versions = await self._read_all(projection)
        live = await self.live(projection)
        settled = []
        for stored in versions:
            document, state = stored.document, stored.document.state
            if document.version == live.version:
                state = "live"
            elif state == "live":
                state = "former"
            if state != document.state:
                stored = await self.replace(stored, structs.replace(document, state=state, since=self._now()))
            settled.append(stored.document)
        return settled


def _understood(item: dict[str, object]) -> VersionDocument:
    try:
        return convert(item, VersionDocument)
    except PoisonError as poison:
        raise DamagedVersionError(
            f"document {item['id']!r} of the container `projections` can't be understood ({poison.detail}): restore "
            "it, or delete it if the version's container is gone too"
        ) from None


def _overtaken(document: VersionDocument) -> str:
    return f"version {document.version} of {document.projection} was changed meanwhile by another process: look again"
