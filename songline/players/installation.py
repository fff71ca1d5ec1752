"""Serves the protocols of players beside the API's own routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from songline.api.session.sealing import Sealer
from songline.cloud import cosmos
from songline.cloud.settings import CosmosSettings
from songline.players.listenbrainz import routes as listenbrainz
from songline.players.listenbrainz.api_imports import ApiImports
from songline.players.listenbrainz.errors import ListenBrainzError
from songline.players.listenbrainz.reported_songs import ReportedSongs
from songline.players.listenbrainz.routes import ListenBrainzState
from songline.players.own_writes import WrittenPositions
from songline.players.tokens.token_lookup import PlayerTokenLookup
from songline.players.tokens.token_store import PlayerTokenStore
from songline.processors.imports.song_resolution import SongResolution
from songline.producers.uploads.import_records import ImportRecords
from songline.projections.http.problems import Problem, answer
from songline.schemas.channels import DATABASE, IMPORTS, PLAYER_TOKENS

PATIENCE_S = 10.0


def install(app: FastAPI, settings: CosmosSettings, sealer: Sealer | None, own_writes: WrittenPositions) -> None:
    """Add the routes of players to `app`. `sealer` opens the texts of tokens for salted digests; None: there are none.
    `own_writes` is shared with other protocols.

    The app's state gets `tokens_of_players`, a PlayerTokenLookup, and what the protocols need.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with cosmos.opened(settings) as client:
            container = partial(cosmos.container, client, DATABASE)
            lookup = PlayerTokenLookup(PlayerTokenStore(container(PLAYER_TOKENS)), sealer)
            app.state.tokens_of_players = lookup
            imports = container(IMPORTS)
            app.state.listenbrainz = ListenBrainzState(
                ReportedSongs(SongResolution(container), imports),
                ApiImports(ImportRecords(imports, PATIENCE_S)),
                own_writes,
            )
            try:
                yield
            finally:
                await lookup.close()

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, ListenBrainzError)
        return answer(Problem("Not taken", error.status, error.message), error.retry_s)

    app.include_router(APIRouter(lifespan=lifespan))
    app.include_router(listenbrainz.routes(lambda: datetime.now(UTC)))
    app.add_exception_handler(ListenBrainzError, failed)
