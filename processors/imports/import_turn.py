"""Whose turn it is: imports of one listener are read one after the other, so that each knows what the others took."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct

from songline.cloud.cosmos import OVERTAKEN
from songline.schemas.decoding import convert
from songline.schemas.types import Id, Moment

TURN = "turn"
LASTS = timedelta(seconds=60)
"""After so long without a sign of its holder a turn is over: its worker has died."""
RENEW_S = 10.0


class ImportTurn(Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag="turn"):
    """The document that says which import of a listener is read, as of `renewed_at`."""

    id: Id
    user_id: Id
    import_id: Id
    renewed_at: Moment


class ImportTurns:
    """The turns in the container `imports`. `now` returns aware times. Methods raise AzureError."""

    def __init__(self, container: ContainerProxy, now: Callable[[], datetime]) -> None:
        self._container = container
        self._now = now

    async def take(self, user_id: str, import_id: str) -> bool:
        """Take the listener's turn, or renew it; return whether the import has it."""
        wanted = msgspec.to_builtins(ImportTurn(id=TURN, user_id=user_id, import_id=import_id, renewed_at=self._now()))
        try:
            item: dict[str, Any] = dict(await self._container.read_item(TURN, user_id))
        except CosmosResourceNotFoundError:
            item = {}
        try:
            if not item:
                await self._container.create_item(wanted, no_response=True)
                return True
            found = convert(item, ImportTurn)
            if found.import_id != import_id and self._now() - found.renewed_at < LASTS:
                return False
            options = {"etag": item["_etag"], "match_condition": MatchConditions.IfNotModified}
            await self._container.replace_item(TURN, wanted, no_response=True, **options)
        except OVERTAKEN:
            return False
        return True

    async def give_back(self, user_id: str, import_id: str) -> None:
        """Let the listener's next import begin, where this one has the turn."""
        try:
            item = dict(await self._container.read_item(TURN, user_id))
            if item.get("importId") == import_id:
                options = {"etag": item["_etag"], "match_condition": MatchConditions.IfNotModified}
                await self._container.delete_item(TURN, user_id, **options)
        except OVERTAKEN:
            return
