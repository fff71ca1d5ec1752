"""Whose turn it is: imports of one listener are read one after the other, so that each knows what the others took."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceNotFoundError
from msgspec import Struct, structs

from songline.cloud.cosmos import OVERTAKEN
from songline.processors.runtime.recent import is_recent
from songline.schemas.decoding import convert
from songline.schemas.imports import ListenPage
from songline.schemas.types import Id, Moment

TURN = "turn"
LASTS = timedelta(seconds=60)
"""After so long without a sign of its holder a turn is over: its worker has died."""
RENEWED = timedelta(seconds=5)
"""A turn that was renewed so long ago is held. One that was not is renewed before anything is sent."""
_LOST = (404, 409, 412)


class ImportTurn(Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag="turn"):
    """The document that says which import of a listener is read, as of `renewed_at`, and by whom."""

    id: Id
    user_id: Id
    import_id: Id
    renewed_at: Moment
    holder: str = ""


class TurnLostError(Exception):
    """Another worker reads the import, or another import is read, or the listener was erased: this worker was stopped
    meanwhile."""


class HeldTurn:
    """A turn that a worker has taken, with the ETag of its document. Methods raise AzureError and TurnLostError."""

    def __init__(self, container: ContainerProxy, turn: ImportTurn, etag: str, now: Callable[[], datetime]) -> None:
        self._container = container
        self._turn = turn
        self._etag = etag
        self._now = now

    async def check(self) -> None:
        """Return where the turn is this worker's, which may have been stopped."""
        while not is_recent(self._turn.renewed_at, self._now(), RENEWED):
            await self._write()

    async def add_page(self, page: ListenPage) -> None:
        """Write a page, if the turn is this worker's when it arrives; one that is there is written again."""
        await self._write(page)

    async def give_back(self) -> None:
        """Let the listener's next import begin. One that is lost is somebody else's to give back."""
        try:
            if await self._is_found():
                await self._container.delete_item(
                    TURN, self._turn.user_id, etag=self._etag, match_condition=MatchConditions.IfNotModified
                )
        except OVERTAKEN:
            return

    async def _write(self, *pages: ListenPage) -> None:
        """Renew the turn and write pages, in one transaction under its ETag: a request that comes late is refused."""
        turn = structs.replace(self._turn, renewed_at=self._now())
        while True:
            operations: list[tuple[Any, ...]] = [
                ("replace", (TURN, msgspec.to_builtins(turn)), {"if_match_etag": self._etag}),
                *(("upsert", (msgspec.to_builtins(page),)) for page in pages),
            ]
            try:
                results = await self._container.execute_item_batch(operations, turn.user_id, no_response=True)
            except CosmosBatchOperationError as error:
                if error.status_code not in _LOST:
                    raise
                # A request whose answer was lost may have been ours.
                if not await self._is_found():
                    raise TurnLostError(f"import {turn.import_id} is not this worker's any more") from None
                continue
            self._turn, self._etag = turn, str(results[0]["eTag"])
            return

    async def _is_found(self) -> bool:
        """Whether the turn is still this holder's, whose ETag is known then."""
        try:
            item = dict(await self._container.read_item(TURN, self._turn.user_id))
        except CosmosResourceNotFoundError:
            return False
        self._etag = str(item["_etag"])
        return bool(item.get("holder") == self._turn.holder)


class ImportTurns:
    """The turns in the container `imports`. `now` returns aware times, `new_id` names that no other holder has. Methods
    raise AzureError."""

    def __init__(self, container: ContainerProxy, now: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._container = container
        self._now = now
        self._new_id = new_id

    async def take(self, user_id: str, import_id: str) -> HeldTurn | None:
        """The listener's turn for an import; None while another import has it. A worker that had it for the same import
        has lost it: its command was delivered again."""
        turn = ImportTurn(id=TURN, user_id=user_id, import_id=import_id, renewed_at=self._now(), holder=self._new_id())
        wanted = msgspec.to_builtins(turn)
        try:
            item: dict[str, Any] = dict(await self._container.read_item(TURN, user_id))
        except CosmosResourceNotFoundError:
            item = {}
        try:
            if not item:
                written = await self._container.create_item(wanted)
            else:
                found = convert(item, ImportTurn)
                if found.import_id != import_id and self._now() - found.renewed_at < LASTS:
                    return None
                options = {"etag": item["_etag"], "match_condition": MatchConditions.IfNotModified}
                written = await self._container.replace_item(TURN, wanted, **options)
        except OVERTAKEN:
            return None
        return HeldTurn(self._container, turn, str(written["_etag"]), self._now)
