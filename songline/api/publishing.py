"""The settings and routes of the API by which events are published."""

from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI
from msgspec import structs

from songline.cloud.settings import read_cosmos, read_eventhubs, read_number
from songline.processes.environment import OUTBOX
from songline.producers.http import event_routes as events_api
from songline.producers.http import match_routes
from songline.producers.http import now_playing_routes as now_playing
from songline.producers.http.body_pacing import BodyPaceConfig
from songline.producers.http.callers import Callers
from songline.producers.http.event_routes import PACE, SPILL_AFTER_S, EventApiSettings

SPILL_AFTER = "SONGLINE_SPILL_AFTER"


def read(environ: Mapping[str, str]) -> EventApiSettings | None:
    """The settings of the event routes; None if no outbox is configured. Raises SettingError."""
    outbox = environ.get(OUTBOX, "")
    if not outbox:
        return None
    pace = structs.replace(BodyPaceConfig.read(environ), deadline_s=PACE.deadline_s)
    return EventApiSettings(
        read_eventhubs(environ),
        Path(outbox),
        _spill_after(environ),
        read_cosmos(environ),
        pace,
        Callers.read(environ),
    )


def _spill_after(environ: Mapping[str, str]) -> float:
    return read_number(environ, SPILL_AFTER, SPILL_AFTER_S, (0.1, 60), "seconds that the hub has to take an event,")


def serve(app: FastAPI, settings: EventApiSettings) -> None:
    """Add the routes to `app`."""
    app.include_router(events_api.routes(settings))
    if settings.cosmos is not None:
        app.include_router(match_routes.routes(settings.cosmos))
    app.include_router(
        now_playing.routes(settings.eventhubs, structs.replace(settings.pace, deadline_s=now_playing.PACE.deadline_s))
    )
