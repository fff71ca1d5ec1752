"""The part of the API that events come in by, and the live one that nothing is stored of."""

from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI

from cloud.settings import BadSetting, read_eventhubs
from producers import events_api, now_playing
from producers.events_api import SPILL_AFTER_S, Wires
from projections import now_playing_api
from songline.environment import OUTBOX

SPILL_AFTER = "SONGLINE_SPILL_AFTER"


def read(environ: Mapping[str, str]) -> Wires | None:
    """Where events go; None where there is no file to keep them in. Raises BadSetting."""
    outbox = environ.get(OUTBOX, "")
    return Wires(read_eventhubs(environ), Path(outbox), _spill_after(environ)) if outbox else None


def _spill_after(environ: Mapping[str, str]) -> float:
    text = environ.get(SPILL_AFTER, "")
    try:
        seconds = float(text or SPILL_AFTER_S)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 60:
        raise BadSetting(SPILL_AFTER, repr(text), "seconds that the hub has to take an event, 0.1 to 60")
    return seconds


def serve(app: FastAPI, wires: Wires) -> None:
    """Add the routes to `app`."""
    app.include_router(events_api.routes(wires))
    app.include_router(now_playing.routes(wires.eventhubs))
    app.include_router(now_playing_api.routes(wires.eventhubs))
