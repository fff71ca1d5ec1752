"""The reports and saved records of the shards, held to what a shard can have sent and saved."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from songline.processors.trending.cells.validation import (
    MAX_REGION,
    check_fact,
    check_lengths,
    check_section,
    last_bucket,
)
from songline.processors.trending.cells.wire import join_sections
from songline.processors.trending.plays.backlog import decode_segment
from songline.processors.trending.shards.saved_tables import decode_section
from songline.processors.trending.shards.shard_image import ShardImage
from songline.processors.trending.shards.song_facts import decode_facts
from songline.processors.trending.shards.state import decode_head
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.song_index import REGION_BITS
from songline.processors.trending.spans import HOUR_MS, SPANS, UNIT_MS
from songline.processors.trending.validation import (
    AHEAD_MS,
    ID,
    MAX_NUMBER,
    MAX_PARTITIONS,
    MAX_TEXT,
    BrokenRecord,
    StageLimits,
    broken,
    broken_records,
    check_column,
    check_number,
    check_songs,
    is_number,
    saved_key,
)
from songline.processors.trending.watermark import ShardWatermark
from songline.schemas.documents import CHART_SIZE, GLOBAL, KINDS
from songline.schemas.errors import PoisonError
from songline.schemas.ownership import LEGACY_S
from songline.schemas.types import GENRE_PATTERN, REGION_PATTERN

MAX_SCORE = 2.0**100
"""More than a score can be, in multiples of 2^-32: a hundred points for the greatest count of each row of a week."""

TOGETHER = 500
"""So many saved records are checked at once: a few megabytes at most."""

_COUNTS_KEY = re.compile(rb"[^/]+/[^/]+/(?:minute|hour)(?:/[0-9]{1,12}){3}")
_REGION = re.compile(REGION_PATTERN)
_GENRE = re.compile(GENRE_PATTERN)
_NOTHING = re.compile(r"(?!)")


def check_report_part(part: ReportPart, limits: StageLimits) -> None:
    """A part of a shard's report."""
    check_number("shard", part.shard, 0, limits.shards - 1)
    if part.hour is not None:
        check_number("hour", part.hour, 0, (limits.now_ms + AHEAD_MS) // HOUR_MS)
    for song in part.songs:
        _check_label(song)
    for key, top in part.tops.items():
        _check_chart_key(key)
        _check_top(key, top)
    if part.watermark is not None:
        _check_watermark(part.watermark, limits)


def check_positions(
    positions: Iterable[tuple[int, int]], watermarks_ms: Iterable[tuple[int, int | None]], limits: StageLimits
) -> None:
    """The positions and watermarks of source partitions."""
    for source, position in positions:
        check_number("partition", source, 0, MAX_PARTITIONS - 1)
        check_number("position", position, -1, MAX_NUMBER)
    for source, ms in watermarks_ms:
        check_number("partition", source, 0, MAX_PARTITIONS - 1)
        if ms is not None:
            check_number("watermark_ms", ms, 0, limits.now_ms + AHEAD_MS)


def check_saved(key: bytes, value: bytes, shard: int, limits: StageLimits) -> None:
    """A record of the shards' changelog."""
    match shard_key(key, shard)[2:]:
        case ["head"]:
            head = decode_head(value)
            check_positions(head.positions.items(), head.watermarks_ms.items(), limits)
        case ["facts", _]:
            for source, fact in decode_facts(value):
                check_number("partition", source, 0, MAX_PARTITIONS - 1)
                # Facts that were saved before claims had a second have this one.
                check_fact(fact, shard, limits, earliest_claim_s=LEGACY_S)
        case ["waiting", _]:
            check_days(decode_segment(value))
        case ["minute" | "hour" as unit, bucket, _, _]:
            section = decode_section(value)
            check_section(section, "minute" if unit == "minute" else "hour", None, limits, ())
            if not (np.frombuffer(section.bucket, "<i4") == int(bucket)).all():
                raise broken(f"rows of another bucket than {bucket}")


def check_image(image: ShardImage, shard: int, limits: StageLimits) -> None:
    """All that an image has in the place of records of the shards' changelog."""
    for key in image.header.keys:
        if shard_key(key.encode(), shard)[2] not in UNIT_MS:
            raise broken(f"{key[:100]!r} is no key of a table")
    for key, value in image.header.records.items():
        check_saved(key.encode(), value, shard, limits)
    for table, (_, counts) in image.tables.items():
        check_number("bucket", table.bucket, 0, last_bucket(table.unit, limits))
        check_number("source", table.source, 0, MAX_PARTITIONS - 1)
        check_column("counts", counts, 0, 2**31 - 1)


def broken_saved(saved: Iterable[tuple[bytes, bytes]], shard: int, limits: StageLimits) -> Iterator[BrokenRecord]:
    """Those of the shards' records for which `check_saved` raises PoisonError.

    Counts are looked at many records at once, since a shard has tens of thousands of a few rows each; and one by one
    where one of them may break a rule.
    """

    def check(key: bytes, value: bytes) -> None:
        check_saved(key, value, shard, limits)

    known: set[str] = set()
    records = iter(saved)
    while group := list(islice(records, TOGETHER)):
        counts = [one for one in group if _COUNTS_KEY.fullmatch(one[0])]
        try:
            _check_counts(counts, shard, limits, known)
        except PoisonError:
            yield from broken_records(group, check)
        else:
            yield from broken_records([one for one in group if not _COUNTS_KEY.fullmatch(one[0])], check)


def _check_counts(records: Sequence[tuple[bytes, bytes]], shard: int, limits: StageLimits, known: set[str]) -> None:
    """Raise PoisonError unless all of these are counts that hold to the rules. Songs that are `known` do."""
    keys = [shard_key(key, shard) for key, _ in records]
    sections = [decode_section(value) for _, value in records]
    buckets = [int(key[3]) for key in keys]
    for key, bucket, section in zip(keys, buckets, sections, strict=True):
        check_lengths(section)
        check_number("bucket", bucket, 0, last_bucket("minute" if key[2] == "minute" else "hour", limits))
    columns = join_sections(sections)
    check_songs(set(columns.songs) - known, None, limits)
    known.update(columns.songs)
    if not len(columns.song):
        return
    check_column("region", columns.region, 0, MAX_REGION)
    check_column("counts", columns.counts, 0, 2**31 - 1)
    record = np.repeat(np.arange(len(records)), columns.rows)
    place = columns.song - (np.cumsum(columns.names) - columns.names)[record]
    if not ((place >= 0) & (place < columns.names[record])).all():
        raise broken("a row is of a song that its record does not name")
    if not (columns.bucket == np.array(buckets)[record]).all():
        raise broken("a row is of another bucket than its record")
    rows = np.sort(columns.song << REGION_BITS | columns.region)
    if (rows[1:] == rows[:-1]).any():
        raise broken("a row is there twice")


def shard_key(key: bytes | None, partition: int) -> list[str]:
    """`shard/owner/` and `head`, `facts/piece`, `waiting/place` or `minute|hour/bucket/source/piece`."""
    parts = saved_key(key, partition)
    match parts[2:]:
        case ["head"]:
            return parts
        case ["facts" | "waiting", place] if is_number(place):
            return parts
        case ["minute" | "hour", bucket, source, piece] if all(map(is_number, (bucket, source, piece))):
            if int(source) < MAX_PARTITIONS:
                return parts
    raise broken(f"{key!r:.100} is no key of a shard")


def check_days(days: Collection[tuple[str, int]]) -> None:
    """Days of songs that wait to be written."""
    for song, day in days:
        if ID.match(song) is None or not 0 <= day < 2_932_896:
            raise broken(f"{song[:80]!r}, {day}: no day of a song")


def _check_label(song: SongLabel) -> None:
    if ID.match(song.song_id) is None:
        raise broken(f"{song.song_id[:80]!r} is no song id")
    for text in (song.title, song.artist, song.genre):
        if text is not None and len(text) > MAX_TEXT:
            raise broken(f"{song.song_id}: {len(text)} characters, expected at most {MAX_TEXT}")


def _check_chart_key(key: str) -> None:
    kind, _, rest = key.partition(":")
    window, _, scope = rest.partition(":")
    name, _, value = scope.partition(":")
    known = scope == GLOBAL or {"region": _REGION, "genre": _GENRE}.get(name, _NOTHING).match(value) is not None
    if kind not in KINDS or window not in SPANS or not known:
        raise broken(f"{key[:80]!r} is no chart")


def _check_top(key: str, top: TopK) -> None:
    if not len(top.song) == len(top.listens) == len(top.likes) == len(top.value) <= CHART_SIZE:
        raise broken(f"{key}: columns of {len(top.song)}, {len(top.listens)}, {len(top.likes)}, {len(top.value)}")
    if len(set(top.song)) != len(top.song):
        raise broken(f"{key}: a song is there twice")
    for name, column in (("listens", top.listens), ("likes", top.likes)):
        for number in (min(column), max(column)) if column else ():
            check_number(f"{key} {name}", number, -MAX_NUMBER if name == "likes" else 0, MAX_NUMBER)
    floats = [value for value in top.value if isinstance(value, float)]
    for value in floats:
        # Each by itself, for what is no number is neither less nor greater than another one.
        check_number(f"{key} value", value, MAX_NUMBER, MAX_SCORE)
    whole = [value for value in top.value if isinstance(value, int)] if floats else top.value
    for value in (min(whole), max(whole)) if whole else ():
        check_number(f"{key} value", value, 0, MAX_NUMBER)


def _check_watermark(watermark: ShardWatermark, limits: StageLimits) -> None:
    check_number("as_of_ms", watermark.as_of_ms, 0, limits.now_ms + AHEAD_MS)
    check_positions(watermark.positions.items(), watermark.watermarks_ms.items(), limits)
