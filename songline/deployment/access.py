"""What each process may do in each service: the least that its code asks for."""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from songline.schemas import channels

HubRight = Literal["sender", "receiver"]
StoreRight = Literal["reader", "contributor"]

EVERYTHING = "*"
"""In place of a name: every hub of the namespace, or every container of the database."""

_STATE: Final[Mapping[str, StoreRight]] = {
    channels.PARKED: "contributor",
    channels.ATTEMPTS: "contributor",
    channels.ERASURES: "reader",
}


class ProcessAccess(Struct, frozen=True):
    """The rights of one process: `hubs` and `queues` by name, `containers` of Cosmos DB, `blobs` containers of Blob
    Storage. A contributor of a store reads it too; a sender to a hub or a queue does not."""

    hubs: Mapping[str, tuple[HubRight, ...]] = {}
    queues: Mapping[str, tuple[HubRight, ...]] = {}
    containers: Mapping[str, StoreRight] = {}
    blobs: Mapping[str, StoreRight] = {}


PROCESSES: Mapping[str, ProcessAccess] = {
    # It asks for the ends of hubs, follows what plays now, shows dead letters, folds moments of the past, and exports
    # all that is held about a listener.
    "api": ProcessAccess(
        hubs={
            channels.MUSIC_EVENTS: ("sender", "receiver"),
            channels.NOW_PLAYING: ("sender", "receiver"),
            channels.TRENDING_PARTIALS: ("receiver",),
            channels.TRENDING_TOPS: ("receiver",),
            channels.CATALOG: ("receiver",),
        },
        queues={channels.SONG_COMMANDS: ("sender", "receiver")},
        containers={
            channels.CHARTS: "reader",
            channels.PLAYS: "reader",
            channels.SONGS: "reader",
            channels.LIBRARY_SHELVES: "reader",
            channels.PROJECTIONS: "reader",
            channels.PARKED: "reader",
            channels.ATTEMPTS: "reader",
            channels.INGESTIONS: "contributor",
            channels.IMPORTS: "contributor",
            channels.PLAYER_TOKENS: "contributor",
            channels.NAMES: "contributor",
            channels.ERASURES: "contributor",
            channels.AUDIT: "contributor",
        },
        blobs={
            channels.SONG_BLOBS: "reader",
            channels.UPLOAD_BLOBS: "contributor",
            channels.ARCHIVE_BLOBS: "reader",
            channels.UNDELIVERED_BLOBS: "reader",
            channels.ARCHIVE_INDEX_BLOBS: "contributor",
        },
    ),
    # Its consumer group spans hubs, and it lists the hubs of the namespace before it begins.
    "trending": ProcessAccess(
        hubs={
            EVERYTHING: ("receiver",),
            channels.TRENDING_PARTIALS: ("sender",),
            channels.TRENDING_TOPS: ("sender",),
            channels.TRENDING_CELLS_CHANGELOG: ("sender",),
            channels.TRENDING_SHARDS_CHANGELOG: ("sender",),
        },
        containers={
            channels.CHARTS: "contributor",
            channels.PLAYS: "contributor",
            channels.PROJECTIONS: "reader",
            channels.SONGS: "reader",
            channels.NAMES: "reader",
            **_STATE,
        },
        blobs={channels.TRENDING_BLOBS: "contributor"},
    ),
    "catalog": ProcessAccess(
        hubs={channels.MUSIC_EVENTS: ("receiver",), channels.CATALOG: ("sender", "receiver")},
        containers={
            channels.SONGS: "contributor",
            channels.NAMES: "contributor",
            channels.PROJECTIONS: "reader",
            **_STATE,
        },
        blobs={channels.CHECKPOINT_BLOBS: "contributor"},
    ),
    # It makes the first version of libraries live.
    "library": ProcessAccess(
        hubs={channels.MUSIC_EVENTS: ("receiver",)},
        containers={
            channels.LIBRARY_SHELVES: "contributor",
            channels.PROJECTIONS: "contributor",
            channels.NAMES: "reader",
            **_STATE,
        },
        blobs={channels.CHECKPOINT_BLOBS: "contributor"},
    ),
    "broadcast": ProcessAccess(
        hubs={channels.MUSIC_EVENTS: ("receiver",)},
        containers={channels.BROADCAST: "contributor", channels.PROJECTIONS: "reader", **_STATE},
        blobs={channels.CHECKPOINT_BLOBS: "contributor"},
    ),
    # It carries out erasures too, which rewrite every store, the archive and the hub of songs.
    "ingestion": ProcessAccess(
        hubs={channels.MUSIC_EVENTS: ("sender", "receiver"), channels.CATALOG: ("sender",)},
        queues={channels.SONG_COMMANDS: ("sender", "receiver")},
        containers={EVERYTHING: "contributor"},
        blobs={
            channels.SONG_BLOBS: "contributor",
            channels.UPLOAD_BLOBS: "contributor",
            channels.TRENDING_BLOBS: "contributor",
            channels.ARCHIVE_BLOBS: "contributor",
            channels.UNDELIVERED_BLOBS: "contributor",
            channels.ARCHIVE_INDEX_BLOBS: "contributor",
        },
    ),
}
"""By the name of the process, which is that of its container app and of its identity."""
