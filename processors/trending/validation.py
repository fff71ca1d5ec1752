"""What the stages tell each other, held to what they can have told. The hubs between them are open to whoever has a key
of the namespace, and one message that is decodable and wrong would stop a stage, or stay in the counts.

Every check raises PoisonError, and changes nothing.
"""

import re
from collections.abc import Collection, Container, Iterable

import numpy as np
from msgspec import Struct

from songline.processors.trending.cells.state import ActionSection, decode_chunk
from songline.processors.trending.cells.wire import CountSection, Partial, SongFact
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.plays.backlog import decode_segment
from songline.processors.trending.policy import HOUR_MS, SPANS, UNIT_MS, Unit
from songline.processors.trending.shards.song_facts import decode_facts
from songline.processors.trending.shards.state import decode_head, decode_section
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.song_index import REGION_BITS, SongIndex, shard_of
from songline.processors.trending.watermark import ShardWatermark
from songline.schemas.documents import CHART_SIZE, GLOBAL
from songline.schemas.documents import KINDS as CHART_KINDS
from songline.schemas.errors import PoisonError
from songline.schemas.ownership import LEGACY_S, NOBODY, UNDATED_S
from songline.schemas.types import GENRE_PATTERN, ID_PATTERN, REGION_PATTERN

MAX_PARTITIONS = 2_048
"""No tier gives a hub more."""

AHEAD_MS = 2 * HOUR_MS
"""An event may be an hour later than the log, and clocks differ."""

MAX_NUMBER = 2**63 - 1
MAX_TEXT = 300
MAX_REGION = 26 * 26

_ID = re.compile(ID_PATTERN)
_REGION = re.compile(REGION_PATTERN)
_GENRE = re.compile(GENRE_PATTERN)
_ACTION = re.compile(r"[0-2][A-Za-z0-9._:-]{1,128} [A-Za-z0-9._:-]{1,128}")
_OLDEST_MS = -62_135_596_800_000


class StageLimits(Struct, frozen=True):
    """What bounds a message: numbers of shards and of partitions of `music-events`, and the wall clock."""

    shards: int
    sources: int
    now_ms: int


def check_partial(partial: Partial, shard: int, limits: StageLimits, songs: SongIndex) -> None:
    """What a source tells the shard; `songs` are those that the shard knows already."""
    _number("partition", partial.partition, 0, MAX_PARTITIONS - 1)
    if partial.position is not None:
        _number("position", partial.position, -1, MAX_NUMBER)
    if partial.watermark_ms is not None:
        _number("watermark_ms", partial.watermark_ms, 0, limits.now_ms + AHEAD_MS)
    check_section(partial.minutes, "minute", shard, limits, songs)
    check_section(partial.hours, "hour", shard, limits, songs)
    for fact in partial.facts:
        check_fact(fact, shard, limits)


def check_section(
    section: CountSection, unit: Unit, shard: int | None, limits: StageLimits, known: Container[str]
) -> None:
    """Counts in columns: of equal length, inside their bounds, each row once; songs that are not `known` are of the
    shard, where it is given."""
    rows, rest = divmod(len(section.song), 4)
    lengths = (len(section.region), len(section.bucket), len(section.counts))
    if rest or lengths != (rows * 2, rows * 4, rows * 4 * KINDS):
        raise _broken(f"columns of {len(section.song)}, {', '.join(map(str, lengths))} bytes are not of equal length")
    if not rows:
        return
    if len(set(section.songs)) != len(section.songs):
        raise _broken("a song is named twice")
    for song in section.songs:
        if song not in known:
            _song(song, shard, limits)
    song_column = np.frombuffer(section.song, "<i4").astype(np.int64)
    region = np.frombuffer(section.region, "<u2").astype(np.int64)
    bucket = np.frombuffer(section.bucket, "<i4").astype(np.int64)
    counts = np.frombuffer(section.counts, "<i4")
    _column("song", song_column, 0, len(section.songs) - 1)
    _column("region", region, 0, MAX_REGION)
    _column("bucket", bucket, 0, (limits.now_ms + AHEAD_MS) // UNIT_MS[unit])
    _column("counts", counts, 0, 2**31 - 1)
    if len(np.unique((song_column << REGION_BITS | region) << 31 | bucket)) != rows:
        raise _broken("a row is there twice")


def check_fact(fact: SongFact, shard: int, limits: StageLimits, earliest_claim_s: int = 0) -> None:
    """What is said of a song. Texts go into messages that have a size, and genres into the keys of charts."""
    _song(fact.song_id, shard, limits)
    _number("time_ms", fact.time_ms, _OLDEST_MS, limits.now_ms + AHEAD_MS)
    _number("offset", fact.offset, 0, MAX_NUMBER)
    if fact.user_id != NOBODY and not _ID.search(fact.user_id):
        raise _broken(f"user_id {fact.user_id[:100]!r} is no user's id")
    if fact.claim is not None:
        _number("claim.second", fact.claim.second, earliest_claim_s, UNDATED_S)
        _number("claim.position", fact.claim.position, 0, fact.offset)
    if fact.genre is not None and _GENRE.search(fact.genre) is None:
        raise _broken(f"{fact.genre[:80]!r} is no genre")
    for field in fact.__struct_fields__:
        value = getattr(fact, field)
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise _broken(f"{field} has {len(value)} characters, expected at most {MAX_TEXT}")
        if isinstance(value, int):
            _number(field, value, _OLDEST_MS, MAX_NUMBER)


def check_frame(frame: ReportPart, limits: StageLimits) -> None:
    """A part of what a shard tells the merge."""
    _number("shard", frame.shard, 0, limits.shards - 1)
    for song in frame.songs:
        _known_song(song)
    for key, top in frame.tops.items():
        _key(key)
        _top(key, top)
    if frame.mark is not None:
        _mark(frame.mark, limits)


def check_positions(
    positions: Iterable[tuple[int, int]], watermark_ms: Iterable[tuple[int, int | None]], limits: StageLimits
) -> None:
    """How far sources are said to be applied."""
    for source, position in positions:
        _number("partition", source, 0, MAX_PARTITIONS - 1)
        _number("position", position, -1, MAX_NUMBER)
    for source, ms in watermark_ms:
        _number("partition", source, 0, MAX_PARTITIONS - 1)
        if ms is not None:
            _number("watermark_ms", ms, 0, limits.now_ms + AHEAD_MS)


def check_cell(key: bytes, value: bytes, partition: int) -> None:
    """What the changelog of cells has of a partition, but for the words of actions: these are checked when a chunk is
    used, by `check_chunk`."""
    cell_key(key, partition)
    for section in decode_chunk(value):
        _section(section, section.keys.count("\n") + 1)


def check_chunk(value: bytes) -> list[ActionSection]:
    """The actions of a chunk that is saved of a cell."""
    sections = decode_chunk(value)
    for section in sections:
        keys = section.keys.split("\n")
        _section(section, len(keys))
        for key in keys:
            if _ACTION.fullmatch(key) is None:
                raise _broken(f"{key[:80]!r} is no action")
    return sections


def check_saved(key: bytes, value: bytes, shard: int, limits: StageLimits) -> None:
    """What the changelog of shards has of a shard."""
    match shard_key(key, shard)[2:]:
        case ["head"]:
            head = decode_head(value)
            check_positions(head.positions.items(), head.watermarks_ms.items(), limits)
        case ["facts", _]:
            for source, fact in decode_facts(value):
                _number("partition", source, 0, MAX_PARTITIONS - 1)
                # Facts that were saved before claims had a second have this one.
                check_fact(fact, shard, limits, earliest_claim_s=LEGACY_S)
        case ["waiting", _]:
            check_days(decode_segment(value))
        case ["minute" | "hour" as unit, bucket, _, _]:
            section = decode_section(value)
            check_section(section, "minute" if unit == "minute" else "hour", None, limits, ())
            if not (np.frombuffer(section.bucket, "<i4") == int(bucket)).all():
                raise _broken(f"rows of another bucket than {bucket}")


def saved_key(key: bytes | None, partition: int) -> list[str]:
    """The parts of a key of a changelog after its partition's number and its owner, as they stand there."""
    try:
        parts = (key or b"").decode("ascii").split("/")
    except UnicodeDecodeError:
        parts = []
    if len(parts) < 3 or parts[0] != str(partition):
        raise _broken(f"{key!r:.100} is no key of partition {partition}")
    return parts


def cell_key(key: bytes | None, partition: int) -> list[str]:
    """`partition/hour/owner/piece`."""
    parts = saved_key(key, partition)
    if len(parts) != 4 or not (_is_number(parts[1]) and _is_number(parts[3])):
        raise _broken(f"{key!r:.100} is no key of a cell")
    return parts


def shard_key(key: bytes | None, partition: int) -> list[str]:
    """`shard/owner/` and `head`, `facts/piece`, `waiting/place` or `minute|hour/bucket/source/piece`."""
    parts = saved_key(key, partition)
    match parts[2:]:
        case ["head"]:
            return parts
        case ["facts" | "waiting", place] if _is_number(place):
            return parts
        case ["minute" | "hour", bucket, source, piece] if all(map(_is_number, (bucket, source, piece))):
            if int(source) < MAX_PARTITIONS:
                return parts
    raise _broken(f"{key!r:.100} is no key of a shard")


def check_days(days: Collection[tuple[str, int]]) -> None:
    """Days of songs that wait to be written."""
    for song, day in days:
        if _ID.match(song) is None or not 0 <= day < 2_932_896:
            raise _broken(f"{song[:80]!r}, {day}: no day of a song")


def _known_song(song: SongLabel) -> None:
    if _ID.match(song.song_id) is None:
        raise _broken(f"{song.song_id[:80]!r} is no song id")
    for text in (song.title, song.artist, song.genre):
        if text is not None and len(text) > MAX_TEXT:
            raise _broken(f"{song.song_id}: {len(text)} characters, expected at most {MAX_TEXT}")


def _key(key: str) -> None:
    kind, _, rest = key.partition(":")
    window, _, scope = rest.partition(":")
    name, _, value = scope.partition(":")
    known = scope == GLOBAL or {"region": _REGION, "genre": _GENRE}.get(name, _NOTHING).match(value) is not None
    if kind not in CHART_KINDS or window not in SPANS or not known:
        raise _broken(f"{key[:80]!r} is no chart")


def _top(key: str, top: TopK) -> None:
    if not len(top.song) == len(top.listens) == len(top.likes) == len(top.value) <= CHART_SIZE:
        raise _broken(f"{key}: columns of {len(top.song)}, {len(top.listens)}, {len(top.likes)}, {len(top.value)}")
    if len(set(top.song)) != len(top.song):
        raise _broken(f"{key}: a song is there twice")
    for name, column in (("listens", top.listens), ("likes", top.likes), ("value", top.value)):
        for number in column:
            _number(f"{key} {name}", number, -MAX_NUMBER if name == "likes" else 0, MAX_NUMBER)


def _mark(mark: ShardWatermark, limits: StageLimits) -> None:
    _number("as_of_ms", mark.as_of_ms, 0, limits.now_ms + AHEAD_MS)
    check_positions(mark.positions.items(), mark.watermarks_ms.items(), limits)


def _section(section: ActionSection, actions: int) -> None:
    if len(section.minutes) != actions or len(section.regions) != 2 * actions:
        raise _broken(f"{actions} actions, {len(section.minutes)} minutes, {len(section.regions)} bytes of regions")
    _column("minute", np.frombuffer(section.minutes, np.uint8), 0, 59)
    _column("region", np.frombuffer(section.regions, "<u2"), 0, MAX_REGION)


def _song(song: str, shard: int | None, limits: StageLimits) -> None:
    if _ID.match(song) is None:
        raise _broken(f"{song[:80]!r} is no song id")
    if shard is not None and shard_of(song, limits.shards) != shard:
        raise _broken(f"song {song} is of shard {shard_of(song, limits.shards)}, not of {shard}")


def _column(name: str, column: "np.typing.NDArray[np.generic]", least: int, most: int) -> None:
    if len(column):
        _number(name, int(column.min()), least, most)
        _number(name, int(column.max()), least, most)


def _number(name: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise _broken(f"{name} is {number}, expected {least} to {most}")


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= 12


def _broken(detail: str) -> PoisonError:
    return PoisonError("broken-contract", detail)


_NOTHING = re.compile(r"(?!)")
