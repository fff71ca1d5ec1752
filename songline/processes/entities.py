"""What the system needs to find in Cosmos DB and of its queue; hubs and the queue itself are declared in
`infra/emulators/*/Config.json`."""

from datetime import timedelta

from msgspec import Struct

from songline.cloud.cosmos import Container
from songline.processors.catalog import song_store as catalog
from songline.processors.ingestion import ingestion_store as ingestion
from songline.processors.library import library_store as library
from songline.processors.runtime import attempt_store, parked_store
from songline.repair import audit
from songline.schemas.channels import CHARTS, PLAYS

CONTAINERS = (
    Container(CHARTS, partition_key="/chart", indexed=("/asOf/?",)),
    # A song's days are read by their ids, and kept a quarter after they changed last. Without any path all are indexed.
    Container(PLAYS, partition_key="/songId", indexed=("/songId/?",), ttl=round(timedelta(days=90).total_seconds())),
    catalog.CONTAINER,
    library.CONTAINER,
    ingestion.CONTAINER,
    audit.CONTAINER,
    parked_store.CONTAINER,
    attempt_store.CONTAINER,
)


class QueueDeclaration(Struct, frozen=True):
    """A queue's settings. `duplicates`: for how long it knows the ids it has seen, None when it does not look at them;
    `expired_are_kept`: what waited too long becomes a dead letter, and is not dropped."""

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
"""The queue of commands, as it is declared."""
