"""Plays by Zipf's law in `music-events`, and what is to be counted of them, without an object for each."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Self

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from bench.hub_filling import filling_producer, send_bodies
from songline.cloud.settings import CloudSettings
from songline.schemas.documents import CHART_SIZE
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed

Ints = npt.NDArray[np.int64]

LISTENERS, ZIPF = 20_000, 1.1
REGIONS = ("DE", "FR", "US", "GB", "BR", "IN", "JP", "SE")
SPAN_S = 300
_BLOCK = 100_000


class Plays(Struct, frozen=True):
    """Plays of the last five minutes, or of `span_s` seconds: numbers of songs, listeners and regions, in columns.
    `start_s`: Unix seconds."""

    songs: Ints
    users: Ints
    regions: Ints
    start_s: int
    partitions: int
    span_s: int = SPAN_S

    @classmethod
    def drawn(cls, count: int, songs: int, partitions: int, now: datetime, span_s: int = SPAN_S) -> Self:
        """So many plays of so many songs. A listener's partition is their number modulo `partitions`."""
        random = np.random.default_rng(7)
        weights = 1 / np.arange(1, songs + 1) ** ZIPF
        return cls(
            random.choice(songs, count, p=weights / weights.sum()),
            random.integers(0, LISTENERS, count),
            random.integers(0, len(REGIONS), count),
            int(now.timestamp()) - span_s,
            partitions,
            span_s,
        )

    def __len__(self) -> int:
        return len(self.songs)

    def microseconds(self) -> Ints:
        """Unix microseconds of the plays. The first of a block is no whole second, which has no digits behind it."""
        return self.start_s * 1_000_000 + 1 + np.arange(len(self)) * (self.span_s * 1_000_000) // len(self)

    def position(self) -> dict[str, int]:
        """The position of the last play in each partition."""
        counts = np.bincount(self.users % self.partitions, minlength=self.partitions)
        return {str(partition): int(count) - 1 for partition, count in enumerate(counts) if count}

    def best(self) -> list[tuple[str, int]]:
        """The global chart: a listener moves a song once an hour."""
        hours = self.microseconds() // 3_600_000_000
        moved = np.unique((hours - hours.min()) << 56 | self.users << 32 | self.songs)
        counts = np.bincount(moved & 0xFFFF_FFFF)
        best = sorted((int(-counts[song]), f"song-{song}") for song in np.flatnonzero(counts))[:CHART_SIZE]
        return [(song, -count) for count, song in best]

    def bodies(self, start: int) -> list[bytes]:
        """The bodies of a block of plays, as the contract encodes them."""
        stop = min(start + _BLOCK, len(self))
        times = np.datetime_as_string(self.microseconds()[start:stop].astype("M8[us]"), unit="us").tolist()
        columns = (self.users[start:stop], self.songs[start:stop], self.regions[start:stop])
        bodies = [
            b'{"specversion":"1.0","id":"play-%d","source":"/bench","type":"%b","subject":"song-%d","time":"%bZ",'
            b'"partitionkey":"user-%d","datacontenttype":"application/json","data":{"userId":"user-%d",'
            b'"songId":"song-%d","playedMs":184000,"durationMs":201000,"region":"%b","device":"ios"}}'
            % (number, _TYPE, song, time.encode(), user, user, song, REGIONS[region].encode())
            for number, (time, user, song, region) in enumerate(
                zip(times, *(column.tolist() for column in columns), strict=True), start
            )
        ]
        assert bodies[0] == self._encoded(start), (bodies[0], self._encoded(start))
        return bodies

    def _encoded(self, number: int) -> bytes:
        played = SongPlayed(
            user_id=f"user-{self.users[number]}",
            song_id=f"song-{self.songs[number]}",
            played_ms=184_000,
            duration_ms=201_000,
            region=REGIONS[self.regions[number]],
            device="ios",
        )
        time = datetime.fromtimestamp(0, UTC) + int(self.microseconds()[number]) * datetime.resolution
        return encode(Event(id=f"play-{number}", source="/bench", time=time, data=played))


_TYPE = (
    encode(
        Event(
            id="e",
            source="/s",
            time=datetime.fromtimestamp(0, UTC),
            data=SongPlayed(user_id="u", song_id="s", played_ms=1, duration_ms=1, region="DE"),
        )
    )
    .split(b'"type":"')[1]
    .partition(b'"')[0]
)


async def fill(
    settings: CloudSettings, hub: str, plays: Plays, version: Callable[[bytes], bytes] | None = None
) -> None:
    """Write all plays into the hub, in batches as large as the service takes; `version` makes another one of a body."""
    async with filling_producer(settings) as producer:
        await send_bodies(producer, hub, plays.partitions, _placed(plays, version))


def _placed(plays: Plays, version: Callable[[bytes], bytes] | None) -> Iterator[tuple[int, bytes]]:
    """The bodies of all plays, each with its partition."""
    for start in range(0, len(plays), _BLOCK):
        partitions = (plays.users[start : start + _BLOCK] % plays.partitions).tolist()
        bodies = plays.bodies(start)
        yield from zip(partitions, bodies if version is None else map(version, bodies), strict=True)
