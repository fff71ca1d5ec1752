"""The part of the API that events come in by, and the live one that nothing is stored of."""

from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI
from msgspec import Struct

from cloud.settings import read_eventhubs
from producers import events_api, now_playing
from projections import now_playing_api
from songline.environment import OUTBOX

NOW_PLAYING_GROUP = "SONGLINE_NOW_PLAYING_GROUP"


class Publishing(Struct, frozen=True):
    """Where events go, and the consumer group in which what is playing is read."""

    wires: events_api.Wires
    group: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Publishing | None":
        """None where there is no file to keep events in; raises BadSetting."""
        outbox = environ.get(OUTBOX, "")
        if not outbox:
            return None
        # Event Hubs lets five readers of a partition into a consumer group: more processes of the API need more groups.
        group = environ.get(NOW_PLAYING_GROUP) or "$Default"
        return cls(events_api.Wires(read_eventhubs(environ), Path(outbox)), group)


def serve(app: FastAPI, publishing: Publishing) -> None:
    """Add the routes to `app`."""
    app.include_router(events_api.routes(publishing.wires))
    app.include_router(now_playing.routes(publishing.wires.eventhubs))
    app.include_router(now_playing_api.routes(publishing.wires.eventhubs, publishing.group))
