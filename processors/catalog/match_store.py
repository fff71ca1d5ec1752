"""Matches of names in Cosmos DB, written under optimistic concurrency."""

from collections.abc import Callable

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import structs

from songline.cloud.cosmos import OVERTAKEN
from songline.schemas.name_matches import (
    CHANGES,
    LEAD_S,
    SHARD,
    MatchStatement,
    NameMatch,
    match_document_id,
    no_match,
    with_statement,
)


class MatchStore:
    """The container `names`. `now_s` gives Unix seconds. Methods raise AzureError."""

    def __init__(self, names: ContainerProxy, now_s: Callable[[], float]) -> None:
        self._names = names
        self._now_s = now_s

    async def apply(self, name: str, said: MatchStatement) -> None:
        """Return once the statement is in the name's document, by this write or an earlier one.

        It holds LEAD_S seconds after it is written, also where this worker is behind: events that others have read by
        then are read again under the same song.
        """
        while True:
            before, etag = await self._read(name)
            from_s = max(said.said_s, int(self._now_s())) + LEAD_S
            after = with_statement(before, structs.replace(said, from_s=from_s))
            if after is before:
                break
            try:
                await self._write(after, etag)
            except OVERTAKEN:
                continue
            break
        # Also where nothing was written: the worker that wrote the statement may have died before it told of it.
        await self._names.upsert_item(
            {"id": CHANGES, "shard": SHARD, "kind": "changes", "last": [name, *said.order]}, no_response=True
        )

    async def _read(self, name: str) -> tuple[NameMatch, str | None]:
        try:
            item = dict(await self._names.read_item(match_document_id(name), SHARD))
        except CosmosResourceNotFoundError:
            return no_match(name), None
        return msgspec.convert(item, NameMatch), item["_etag"]

    async def _write(self, document: NameMatch, etag: str | None) -> None:
        # Its tag fields have defaults, and are what it is found by.
        body = {**msgspec.to_builtins(document), "shard": document.shard, "kind": document.kind}
        if etag is None:
            await self._names.create_item(body, no_response=True)
        else:
            await self._names.replace_item(
                document.id, body, etag=etag, match_condition=MatchConditions.IfNotModified, no_response=True
            )
