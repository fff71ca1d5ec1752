"""Puts the page's sign-in into the API."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from songline.api.issuer_http import issuer_http
from songline.api.operations import Group
from songline.api.session.session_layer import SessionLayer
from songline.api.session.session_routes import routes
from songline.api.session.session_service import SessionService
from songline.api.session.settings import PageSettings

PAGE_PATHS = ("/", "/assets/")


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
        async with issuer_http() as http:
            service = app.state.page_sessions = SessionService(settings, http, time.time)
            service.start()
            try:
                yield
            finally:
                await service.close()

    app.include_router(APIRouter(lifespan=lifespan))
    return [Middleware(SessionLayer, plain=PAGE_PATHS if Group.PAGE in opened else ())]
