"""What a trending worker that starts takes to restore a shard: by its changelog, and by its image and the rest of it.

Nothing but the shard takes part: neither Kafka nor Blob Storage.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from bench.measurement import Measurement
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.wire import CountRows, no_rows
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.shards.shard_image import decode_shard_image
from songline.processors.trending.shards.shard_image_parts import ShardImageParts
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.validation import broken_saved, check_image
from songline.processors.trending.song_index import REGION_BITS, Ints
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS
from songline.processors.trending.validation import StageLimits
from songline.schemas.policy import V1

SECONDS, QUICK_SECONDS = 1_800, 120
RATE = 1_250
"""Events a second of one shard of four, at 5,000 of all."""
SOURCES, SHARDS = 4, 4
SONGS, ZIPF, REGIONS = 5_000, 0.9, 30
LATE, LATE_HOURS = 0.005, 160
"""So many of the events are late, by up to so many hours."""
SAVE_S = 5
BEHIND = 4_000_000
"""So much was saved since the image was begun: as much as makes it anew."""
START_MS = 490_000 * HOUR_MS
KEY = IdentityKey(bytes(16))
REGION = """\
CPU of this process, user and system, for one shard of four after half an hour at 5,000 events/s: what was saved of it
is held to the rules and restored, windows included. By its image: what was saved until four megabytes before the end is
in that, and the shard is filled by it, windows included; the rest is checked and applied on top. Where a minute begins
in between, windows of minutes are filled anew. Outside: what it takes to fetch either."""


class Saved(NamedTuple):
    """The changelog of the shard as it is, and as it was when the image was begun; and the image."""

    records: dict[str, bytes]
    before: dict[str, bytes]
    image: bytes
    written_s: float


class Counts:
    """Absolute counts of a bucket by pair of song and region."""

    def __init__(self) -> None:
        self._counts: dict[int, Ints] = {}

    def add(self, bucket: int, pairs: Ints, listens: Ints) -> CountRows:
        """Count; the rows that a source reports then."""
        table = self._counts.setdefault(bucket, np.zeros(SONGS << REGION_BITS, np.int64))
        table[pairs] += listens
        counts = np.zeros((len(pairs), KINDS), np.int64)
        counts[:, 0] = table[pairs]
        return CountRows(pairs, np.full(len(pairs), bucket, np.int64), counts)

    def forget(self, but: int) -> None:
        """Forget all buckets but one."""
        self._counts = {bucket: table for bucket, table in self._counts.items() if bucket == but}


def _seconds(shard: Shard, seconds: int) -> Iterator[int]:
    """Have the shard count second by second; the seconds, each once it is counted."""
    random = np.random.default_rng(1)
    shard.songs.numbers([f"song-{number:08}" for number in range(SONGS)])
    weights = np.cumsum(1 / np.arange(1, SONGS + 1) ** ZIPF)
    minutes, hours = [Counts() for _ in range(SOURCES)], [Counts() for _ in range(SOURCES)]
    for second in range(seconds):
        now_ms = START_MS + 1_000 * second
        shard.advance(now_ms)
        for source in range(SOURCES):
            songs = np.searchsorted(weights / weights[-1], random.random(RATE // SOURCES))
            regions = random.integers(1, REGIONS + 1, len(songs))
            pairs, listens = np.unique(songs << REGION_BITS | regions, return_counts=True)
            at_minute = minutes[source].add(now_ms // MINUTE_MS, pairs, listens)
            at_hour = hours[source].add(now_ms // HOUR_MS, pairs, listens)
            minutes[source].forget(now_ms // MINUTE_MS)
            shard.count(source, at_minute, at_hour, [])
            for _ in range(random.binomial(RATE // SOURCES, LATE)):
                hour = now_ms // HOUR_MS - 1 - int(random.integers(LATE_HOURS))
                one = pairs[random.integers(len(pairs))]
                counts = np.array([[1] + [0] * (KINDS - 1)])
                shard.count(source, no_rows(), CountRows(np.array([one]), np.array([hour]), counts), [])
            shard.advance_source(source, second, now_ms)
        yield second


def made(seconds: int) -> Saved:
    """A shard that has counted so long, as it is saved."""
    shard = Shard(0, "before", KEY, V1)
    log: list[tuple[str, bytes | None]] = []
    for second in _seconds(shard, seconds):
        if second % SAVE_S == 0:
            log += shard.flush().items()
    total, begun = 0, len(log)
    while begun and total < BEHIND:
        begun -= 1
        total += len(log[begun][1] or b"")
    records, before = _live(log), _live(log[:begun])
    owner = Shard(0, "owner", KEY, V1)
    owner.advance(START_MS + 1_000 * seconds)
    owner.restore(before.items())
    owner.flush()
    cpu_s = time.process_time()
    parts = ShardImageParts(owner)
    body = b"".join(part for step in parts.steps() for part in step)
    header = parts.header(KEY.id, "", 0, SHARDS, 0, 0)
    return Saved(records, before, header + body, time.process_time() - cpu_s)


def _live(log: list[tuple[str, bytes | None]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for key, value in log:
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def by_changelog(saved: Saved, now_ms: int) -> tuple[Shard, list[float]]:
    """The shard by its changelog alone, and the CPU seconds of checking and of restoring it."""
    begin_s = time.process_time()
    check(saved.records, now_ms)
    checked_s = time.process_time()
    shard = Shard(0, "next", KEY, V1)
    shard.advance(now_ms)
    shard.restore(saved.records.items())
    return shard, [checked_s - begin_s, time.process_time() - checked_s]


def by_image(saved: Saved, now_ms: int, early_ms: int = 0) -> tuple[Shard, list[float]]:
    """The shard by its image, which it is filled by so long before, and the rest of its changelog. And the CPU seconds
    of loading the image and filling the shard, both of which may be done before its partition is assigned, of checking
    the rest and of restoring."""
    begin_s = time.process_time()
    image = decode_shard_image(saved.image)
    check_image(image, 0, StageLimits(SHARDS, SOURCES, now_ms))
    loaded_s = time.process_time()
    shard = Shard(0, "next", KEY, V1, image=image)
    shard.advance(now_ms - early_ms)
    shard.fill()
    filled_s = time.process_time()
    rest = {key: value for key, value in saved.records.items() if saved.before.get(key) is not value}
    check(rest, now_ms)
    checked_s = time.process_time()
    shard.advance(now_ms)
    held = {key: value for key, value in image.records.items() if key in saved.records}
    shard.restore({**held, **rest}.items())
    return shard, [loaded_s - begin_s, filled_s - loaded_s, checked_s - filled_s, time.process_time() - checked_s]


def check(records: dict[str, bytes], now_ms: int) -> None:
    """Hold the records to the rules, and exit with an error where one breaks one."""
    limits = StageLimits(SHARDS, SOURCES, now_ms)
    if any(broken_saved(((key.encode(), value) for key, value in records.items()), 0, limits)):
        raise SystemExit("a record breaks a rule")


def measure(quick: bool) -> list[Measurement]:
    """The figures; exits with an error where the two are not the same."""
    seconds = QUICK_SECONDS if quick else SECONDS
    saved, now_ms = made(seconds), START_MS + 1_000 * seconds
    by_images = ["loaded, which may be done before", "filled, which may be done before", "the rest checked", "restored"]
    ways: dict[str, tuple[Callable[[Saved, int], tuple[Shard, list[float]]], list[str]]] = {
        "by its changelog": (by_changelog, ["checked", "restored"]),
        "by its image": (by_image, by_images),
        "by its image, in the next minute": (partial(by_image, early_ms=MINUTE_MS), by_images),
    }
    found = [
        Measurement(row=0, what="records of a shard", figure=len(saved.records), unit=""),
        Measurement(row=0, what="their bytes", figure=sum(map(len, saved.records.values())) / 1e6, unit="MB"),
        Measurement(row=0, what="bytes of its image", figure=len(saved.image) / 1e6, unit="MB"),
        Measurement(row=0, what="CPU of making its image", figure=saved.written_s, unit="s"),
    ]
    reports = []
    for how, (restore, steps) in ways.items():
        shard, cpu_s = restore(saved, now_ms)
        reports.append(shard.report(whole=True))
        found += [
            Measurement(row=0, what=f"{how}: {step}", figure=figure, unit="s")
            for step, figure in zip(steps, cpu_s, strict=True)
        ]
    if any(report != reports[0] for report in reports):
        raise SystemExit("a shard by its image reports something else")
    return found
