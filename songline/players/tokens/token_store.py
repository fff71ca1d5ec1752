"""The container `player-tokens`: tokens by the SHA-256 of their text."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud import cosmos
from songline.cloud.cosmos import Container
from songline.cloud.settings import read_cosmos
from songline.players.tokens.player_token import PlayerToken
from songline.schemas.channels import DATABASE, PLAYER_TOKENS
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.types import Moment

CONTAINER = Container(PLAYER_TOKENS, partition_key="/id", indexed=("/userId/?",))

_OF_USER = "SELECT * FROM c WHERE c.userId = @user"


class PlayerTokenStore:
    """Tokens in Cosmos DB. All methods raise AzureError. A document that is no token lets nobody in."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    async def add(self, token: PlayerToken) -> None:
        """Store a new token; it is good when this returns."""
        await self._container.create_item(msgspec.to_builtins(token), no_response=True)

    async def find(self, token_id: str) -> PlayerToken | None:
        """The token of this id; None if there is none."""
        try:
            return _read(await self._container.read_item(token_id, token_id))
        except CosmosResourceNotFoundError:
            return None

    async def of(self, user_id: str) -> list[PlayerToken]:
        """The listener's tokens, the oldest first."""
        query = self._container.query_items(_OF_USER, parameters=[{"name": "@user", "value": user_id}])
        try:
            found = [token async for item in query if (token := _read(item)) is not None]
        except CosmosResourceNotFoundError:
            # The containers were made by an older release.
            return []
        return sorted(found, key=lambda token: (token.created_at, token.id))

    async def revoke(self, token_id: str) -> bool:
        """Delete the token; return whether it was there."""
        try:
            await self._container.delete_item(token_id, token_id)
        except CosmosResourceNotFoundError:
            return False
        return True

    async def record_use(self, token_id: str, moment: Moment) -> None:
        """Store when a token was used last. One that is revoked meanwhile stays so."""
        change = [{"op": "set", "path": "/usedAt", "value": msgspec.to_builtins(moment)}]
        try:
            await self._container.patch_item(token_id, token_id, change, no_response=True)
        except CosmosResourceNotFoundError:
            return


def _read(item: Mapping[str, Any]) -> PlayerToken | None:
    try:
        return convert(dict(item), PlayerToken)
    except PoisonError:
        return None


@asynccontextmanager
async def open_player_tokens(environ: Mapping[str, str]) -> AsyncIterator[PlayerTokenStore]:
    """The tokens of the account that `environ` names. Raises SettingError."""
    async with cosmos.opened(read_cosmos(environ)) as account:
        yield PlayerTokenStore(cosmos.container(account, DATABASE, PLAYER_TOKENS))
