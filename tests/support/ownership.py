"""Logs in which several users speak of a song, read in any order, and who is right by brute force.

Uses none of the product's rule.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from msgspec import Struct

from songline.schemas.envelope import Event
from songline.schemas.events import SongRemoved, SongUploaded

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EARLY = NOON - timedelta(hours=1)


class Line(Struct, frozen=True):
    """An event of a partition's log: when the hub took it, and what it says."""

    position: int
    logged: datetime
    event: Event


Log = dict[int, list[Line]]
"""The lines of each partition, in order."""


def uploaded(user: str, title: str, at: datetime = NOON, song: str = "song-1", sha256: str | None = None) -> Event:
    """With `sha256` a song that was uploaded here; without, one that was announced or simulated."""
    data = SongUploaded(
        user_id=user,
        song_id=song,
        title=title,
        artist=user,
        duration_ms=60_000,
        genre="rock",
        sha256=sha256,
        size=None if sha256 is None else 1_000,
        content_type=None if sha256 is None else "audio/flac",
    )
    return Event(id="up", source="/tests", time=at, data=data)


def removed(user: str, at: datetime = NOON, song: str = "song-1") -> Event:
    return Event(id="down", source="/tests", time=at, data=SongRemoved(user_id=user, song_id=song))


def random_log(random: Random, users: Sequence[str], partitions: int = 3, lines: int = 12, song: str = "song-1") -> Log:
    """Users upload and remove one song in any partition, many of them in one second and of one moment."""
    log: Log = {partition: [] for partition in range(partitions)}
    logged = dict.fromkeys(log, NOON)
    for number in range(lines):
        partition, user = random.randrange(partitions), random.choice(users)
        logged[partition] += timedelta(milliseconds=random.choice([0, 1, 400, 1_000, 60_000]))
        at = NOON + timedelta(microseconds=random.choice([-1_000_000, 0, 1, 999, 1_000, 2_000_000]))
        gone = random.random() < 0.4
        sha256 = random.choice([None, f"{number:064x}"])
        event = removed(user, at, song) if gone else uploaded(user, f"title {number}", at, song, sha256)
        position = 2 * len(log[partition])
        log[partition].append(Line(position, logged[partition], event))
    return log


def steps(random: Random, log: Log) -> list[tuple[int, list[Line]]]:
    """Batches of partitions in which a reader may come by the log: interleaved, and read again after restarts."""
    following = dict.fromkeys(log, 0)
    found = []
    while left := [partition for partition in log if following[partition] < len(log[partition])]:
        partition = random.choice(left)
        begin = random.choice([following[partition], random.randint(0, following[partition])])
        end = random.randint(following[partition] + 1, len(log[partition]))
        found.append((partition, log[partition][begin:end]))
        following[partition] = end
    return found


def verdict(log: Log) -> Event | None:
    """The event that holds: of the owner's last ones in each partition, the latest by the millisecond, then that of
    the higher partition. The owner is the user of the earliest upload by (second, partition, position)."""
    claims = [
        (int(line.logged.timestamp()), partition, line.position, line.event.data.user_id)
        for partition, lines in log.items()
        for line in lines
        if isinstance(line.event.data, SongUploaded)
    ]
    if not claims:
        return None
    owner = min(claims)[3]
    last = {}
    for partition, lines in log.items():
        for line in lines:
            if line.event.data.user_id == owner:
                last[partition] = line.event
    whole = {partition: (event.time - EARLY) // timedelta(milliseconds=1) for partition, event in last.items()}
    return last[max(last, key=lambda partition: (whole[partition], partition))]
