"""Songs' days that Cosmos DB refuses: what health and progress say of them, and when they are tried again."""

import logging
from collections.abc import Iterator, Mapping
from itertools import islice

from azure.core.exceptions import AzureError
from msgspec import Struct

from songline.processors.runtime.service_errors import last_line
from songline.processors.trending.shards.state import Shard
from songline.schemas.plays import SongDay

log = logging.getLogger(__name__)

AGAIN_S = 3_600.0
"""The pause between two tries of what was refused and does not change; charts are tried as often."""
NAMED = 10
"""So many of the days are named in errors."""


class RefusedDay(Struct, frozen=True):
    """A day of the `shard`, as it was when it was refused last."""

    shard: Shard
    document: SongDay
    error: AzureError


class RefusedDays:
    """The days that are refused, until they are written. `now_s` is of a steady clock."""

    def __init__(self, now_s: float) -> None:
        self._days: dict[tuple[str, str], RefusedDay] = {}
        self._tried_s = now_s

    def __len__(self) -> int:
        return len(self._days)

    def add(self, shard: Shard, document: SongDay, error: AzureError) -> None:
        """The day is refused as it is in `document`: it is not due until it changes, or `try_again`."""
        key = document.song_id, document.id
        if key not in self._days:
            log.error("%s of song %s is refused: %s", document.id, document.song_id, last_line(error))
        self._days[key] = RefusedDay(shard, document, error)
        shard.days.refused(document)

    def remove(self, document: SongDay) -> None:
        """The day is written."""
        self._days.pop((document.song_id, document.id), None)

    def try_again(self, shards: Mapping[int, Shard], now_s: float) -> None:
        """Forget days that are of none of the `shards`, or dropped; let the others wait again every AGAIN_S seconds."""
        self._days = {
            key: one
            for key, one in self._days.items()
            if shards.get(one.shard.number) is one.shard and one.shard.days.waits(one.document)
        }
        if now_s - self._tried_s >= AGAIN_S:
            self._tried_s = now_s
            for shard in shards.values():
                shard.days.backlog.take_back()

    def songs_of(self, shard: Shard) -> set[str]:
        """The songs of the shard of which a day is refused."""
        return {one.document.song_id for one in self._days.values() if one.shard is shard}

    def errors(self) -> Iterator[tuple[str, AzureError]]:
        """The errors, by what can't be written; of many days, only the first ones are named."""
        for (song_id, day), one in islice(self._days.items(), NAMED):
            yield f"{day} of song {song_id} can't be written", one.error
        for one in islice(self._days.values(), NAMED, NAMED + 1):
            yield "other songs' days can't be written", one.error
