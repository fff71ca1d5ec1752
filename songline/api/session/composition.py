"""Puts the page's sign-in into the API."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import httpx
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from songline.api.session.session_layer import SessionLayer
from songline.api.session.session_routes import routes
from songline.api.session.session_service import SessionService
from songline.api.session.settings import PageSettings

PAGE_GROUP = "page"
PAGE_PATHS = ("/", "/assets/")
ISSUER_S = 10.0
"""How long the issuer may take for each part of an answer."""


def layers(app: FastAPI, settings: PageSettings | None, opened: Iterable[str] | None) -> list[Middleware]:
    """Add the operations of sign-in to `app`; the layers that go before the one that asks for tokens.

    `settings` is None where nobody can sign in. `opened` are the groups of operations that need no token, None where
    the API asks for none: then there is nothing to sign in for.
    """
    app.state.page_sessions = None
    routes(app, None if opened is None else sorted(opened))
    if settings is None or opened is None:
        return []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Proxies and credentials of the environment are for others.
        async with httpx.AsyncClient(trust_env=False, timeout=ISSUER_S) as http:
            service = app.state.page_sessions = SessionService(settings, http, time.time)
            try:
                yield
            finally:
                await service.close()

    app.include_router(APIRouter(lifespan=lifespan))
    return [Middleware(SessionLayer, plain=PAGE_PATHS if PAGE_GROUP in opened else ())]
