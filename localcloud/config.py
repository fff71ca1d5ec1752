"""Entities of the local namespace, read from the official emulators' `Config.json`.

The Event Hubs emulator's schema knows names, partition counts and consumer groups. localcloud also understands
an optional `Properties` object beside them, in a second file that is laid over the first, so that the official
file stays valid for Microsoft's emulator:

    {"Name": "songs", "Properties": {"CleanupPolicy": "Compact", "RetentionInHours": 24}}
"""

import msgspec

HOUR_MS = 3_600_000
DEFAULT_RETENTION_MS = 168 * HOUR_MS


class HubConfig(msgspec.Struct, frozen=True):
    """One event hub.

    `consumer_groups` are the declared ones (`$Default` is implicit). `retention_ms` is how long events are kept,
    None for ever; a compacted hub keeps the last event of each partition key instead.
    """

    name: str
    partitions: int
    consumer_groups: tuple[str, ...] = ()
    compacted: bool = False
    retention_ms: int | None = DEFAULT_RETENTION_MS
