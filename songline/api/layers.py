"""The layers between the server and the routes, put together in one place."""

from fastapi import FastAPI
from starlette.middleware import Middleware

from songline.api import guard
from songline.api.guard_settings import GuardSettings
from songline.api.refusals import refusal
from songline.producers.http.direct_events import DirectEvents


def install(app: FastAPI, guarding: GuardSettings | None, takes_events: bool) -> None:
    """Put the layers before the routes of `app`, which has all of them by now.

    From the outermost on: hosts, origins and methods (`songline.projections.http.front`, installed already); the guard;
    and the way of events around the router. A session goes before the guard, limits go behind it.
    """
    layers: list[Middleware] = []
    if guarding is not None:
        layers.append(guard.layer(app, guarding))
    if takes_events:
        layers.append(Middleware(DirectEvents, refusal=refusal))
    app.user_middleware += layers
