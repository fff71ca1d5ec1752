"""The containers that the system needs in Cosmos DB, and the settings of its queue.

`infra/emulators/*/Config.json` declares the hubs and the queue.
"""

from datetime import timedelta

from msgspec import Struct

from songline.players.tokens import token_store
from songline.processors.broadcast.positions import CONTAINER as BROADCAST_CONTAINER
from songline.processors.catalog import song_store as catalog
from songline.processors.history.erasure import erasure_store
from songline.processors.imports import import_store, song_resolution
from songline.processors.ingestion import ingestion_store as ingestion
from songline.processors.library import shelf_store
from songline.processors.runtime import attempt_store, live_version, parked_store
from songline.processors.trending.containers import CHARTS_CONTAINER, PLAYS_CONTAINER
from songline.repair import audit

CONTAINERS = (
    CHARTS_CONTAINER,
    PLAYS_CONTAINER,
    catalog.CONTAINER,
    shelf_store.CONTAINER,
    live_version.CONTAINER,
    ingestion.CONTAINER,
    audit.CONTAINER,
    parked_store.CONTAINER,
    attempt_store.CONTAINER,
    erasure_store.CONTAINER,
    import_store.CONTAINER,
    song_resolution.CONTAINER,
    BROADCAST_CONTAINER,
    token_store.CONTAINER,
)


class QueueDeclaration(Struct, frozen=True):
    """A queue's settings.

    `duplicates` is the window of duplicate detection, None without it. With `expired_are_kept` an expired message
    becomes a dead letter.
    """

    lock: timedelta
    deliveries: int
    duplicates: timedelta | None
    expired_are_kept: bool
    sessions: bool


QUEUE = QueueDeclaration(
    lock=timedelta(minutes=1),
    deliveries=10,
    duplicates=timedelta(minutes=5),
    expired_are_kept=True,
    sessions=False,
)
"""The declared settings of the queue of commands."""
