"""The messages and saved records of the cells, held to what a source partition can have sent and saved."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import numpy as np

from songline.processors.trending.cells.chunks import (
    CHUNK_ROWS,
    ActionChunk,
    ChunkColumns,
    SavedChunk,
    TextSection,
    decode_chunk,
    decode_mark,
    join_chunks,
    merged_chunks,
)
from songline.processors.trending.cells.identity_key import UPLOADER, IdentityKey
from songline.processors.trending.cells.wire import CountSection, Partial, SongFact
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.song_index import REGION_BITS, SongIndex
from songline.processors.trending.spans import HOUR_MS, UNIT_MS, Unit
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
    check_ids,
    check_number,
    check_song,
    check_songs,
    is_number,
    saved_key,
)
from songline.schemas.errors import PoisonError
from songline.schemas.ownership import NOBODY, UNDATED_S
from songline.schemas.types import GENRE_PATTERN, GENRES_MAX, NAME_PREFIX

MAX_REGION = 26 * 26

SEALED = "sealed"
"""Stands in the place of an owner, in the key of the mark that an hour is sealed."""

_GENRE = re.compile(GENRE_PATTERN)
_ACTION = re.compile(r"[0-2][A-Za-z0-9._:-]{1,128} [A-Za-z0-9._:-]{1,128}")
_OLDEST_MS = -62_135_596_800_000


def check_partial(partial: Partial, shard: int, limits: StageLimits, songs: SongIndex) -> None:
    """A message of a source partition to a shard; `songs` are those that the shard knows already."""
    check_number("partition", partial.partition, 0, MAX_PARTITIONS - 1)
    if partial.position is not None:
        check_number("position", partial.position, -1, MAX_NUMBER)
    if partial.watermark_ms is not None:
        check_number("watermark_ms", partial.watermark_ms, 0, limits.now_ms + AHEAD_MS)
    if partial.hour is not None:
        check_number("hour", partial.hour, 0, (limits.now_ms + AHEAD_MS) // HOUR_MS)
    check_section(partial.minutes, "minute", shard, limits, songs)
    check_section(partial.hours, "hour", shard, limits, songs)
    for fact in partial.facts:
        if fact.song_id.startswith(NAME_PREFIX):
            raise broken(f"{fact.song_id[:80]!r} is known by name only: nobody uploads or removes it")
        check_fact(fact, shard, limits)


def check_section(
    section: CountSection, unit: Unit, shard: int | None, limits: StageLimits, known: Container[str]
) -> None:
    """Counts in columns: of equal length, inside their bounds, each row once; songs that are not `known` are of the
    shard, where it is given."""
    rows = check_lengths(section)
    # Also those of no row: all of them get a number when the section is read.
    check_songs([song for song in section.songs if song not in known], shard, limits)
    if not rows:
        return
    song_column = np.frombuffer(section.song, "<i4").astype(np.int64)
    region = np.frombuffer(section.region, "<u2").astype(np.int64)
    bucket = np.frombuffer(section.bucket, "<i4").astype(np.int64)
    counts = np.frombuffer(section.counts, "<i4")
    check_column("song", song_column, 0, len(section.songs) - 1)
    check_column("region", region, 0, MAX_REGION)
    check_column("bucket", bucket, 0, last_bucket(unit, limits))
    check_column("counts", counts, 0, 2**31 - 1)
    keys = (song_column << REGION_BITS | region) << 31 | bucket
    # A cell sends its rows in this order.
    if not (keys[1:] > keys[:-1]).all() and len(np.unique(keys)) != rows:
        raise broken("a row is there twice")


def check_lengths(section: CountSection) -> int:
    """Columns are of equal length, and songs are named once; returns the number of rows."""
    rows, rest = divmod(len(section.song), 4)
    lengths = (len(section.region), len(section.bucket), len(section.counts))
    if rest or lengths != (rows * 2, rows * 4, rows * 4 * KINDS):
        raise broken(f"columns of {len(section.song)}, {', '.join(map(str, lengths))} bytes are not of equal length")
    if len(set(section.songs)) != len(section.songs):
        raise broken("a song is named twice")
    return rows


def last_bucket(unit: Unit, limits: StageLimits) -> int:
    """The newest bucket that counts may have."""
    return (limits.now_ms + AHEAD_MS) // UNIT_MS[unit]


def check_fact(fact: SongFact, shard: int, limits: StageLimits, earliest_claim_s: int = 0) -> None:
    """A fact about a song. Texts go into messages that have a size, and genres into the keys of charts."""
    check_song(fact.song_id, shard, limits)
    check_number("time_ms", fact.time_ms, _OLDEST_MS, limits.now_ms + AHEAD_MS)
    check_number("offset", fact.offset, 0, MAX_NUMBER)
    if fact.user_id != NOBODY and not ID.search(fact.user_id):
        raise broken(f"user_id {fact.user_id[:100]!r} is no user's id")
    if fact.is_keyed and UPLOADER.fullmatch(fact.user_id) is None:
        raise broken(f"user_id {fact.user_id[:100]!r} is no uploader as they are known under a key")
    if fact.claim is not None:
        check_number("claim.second", fact.claim.second, earliest_claim_s, UNDATED_S)
        check_number("claim.position", fact.claim.position, 0, fact.offset)
    if len(fact.more_genres) > GENRES_MAX:
        raise broken(f"{len(fact.more_genres)} more genres, expected at most {GENRES_MAX}")
    for genre in (fact.genre, *fact.more_genres):
        if genre is not None and _GENRE.search(genre) is None:
            raise broken(f"{genre[:80]!r} is no genre")
    # The other fields were held to narrower bounds.
    for name, text in (("title", fact.title), ("artist", fact.artist)):
        if text is not None and len(text) > MAX_TEXT:
            raise broken(f"{name} has {len(text)} characters, expected at most {MAX_TEXT}")


def check_cell(key: bytes, value: bytes, partition: int) -> None:
    """A record of the cells' changelog. The text of its actions is checked by `check_chunk` when a chunk is used."""
    if cell_key(key, partition)[2] == SEALED:
        check_number("size", decode_mark(value).size_bytes, 0, MAX_NUMBER)
        return
    chunk = decode_chunk(value)
    if isinstance(chunk, ActionChunk):
        _check_columns([chunk])
        return
    for section in chunk:
        _check_section(section, section.keys.count("\n") + 1)


def broken_cells(records: Iterable[tuple[bytes, bytes]], partition: int) -> Iterator[BrokenRecord]:
    """Those of the cells' records for which `check_cell` raises PoisonError."""
    return broken_records(records, lambda key, value: check_cell(key, value, partition))


def check_chunk(value: bytes, key_id: bytes, known: Container[str] = ()) -> SavedChunk:
    """A saved chunk of a cell, whose actions are checked. `key_id` is that of the key that actions are known under;
    songs that are `known` were checked before."""
    chunk = decode_chunk(value)
    if isinstance(chunk, ActionChunk):
        _check_actions([chunk], key_id, known)
        return chunk
    for section in chunk:
        keys = section.keys.split("\n")
        _check_section(section, len(keys))
        for key in keys:
            if _ACTION.fullmatch(key) is None:
                raise broken(f"{key[:80]!r} is no action")
    return chunk


def check_chunks(
    values: Sequence[bytes], key_id: bytes, known: Container[str] = ()
) -> tuple[list[SavedChunk | ChunkColumns], list[tuple[int, PoisonError]]]:
    """Saved chunks that hold to the rules of `check_chunk`, and the places of those that don't, each with the reason.

    They are looked at many at once, and one by one where one of them may break a rule or is of an older version.
    """
    with suppress(PoisonError):
        chunks = [chunk for chunk in map(decode_chunk, values) if isinstance(chunk, ActionChunk)]
        if len(chunks) == len(values):
            return [_check_actions(chunks, key_id, known)], []
    found: list[SavedChunk | ChunkColumns] = []
    broken_places: list[tuple[int, PoisonError]] = []
    for place, value in enumerate(values):
        try:
            found.append(check_chunk(value, key_id, known))
        except PoisonError as why:
            broken_places.append((place, why))
    return found, broken_places


def merge_saved(saved: Mapping[str, bytes], key: IdentityKey) -> tuple[list[bytes], dict[str, PoisonError]]:
    """Saved chunks as few ones, and those that break a rule, by key."""
    names = list(saved)
    chunks, broken_places = check_chunks(list(saved.values()), key.id)
    return list(merged_chunks(chunks, key)), {names[place]: why for place, why in broken_places}


def cell_key(key: bytes | None, partition: int) -> list[str]:
    """`partition/hour/owner/piece`, or SEALED in the place of the owner."""
    parts = saved_key(key, partition)
    if len(parts) != 4 or not (is_number(parts[1]) and is_number(parts[3])):
        raise broken(f"{key!r:.100} is no key of a cell")
    return parts


def _check_actions(chunks: Sequence[ActionChunk], key_id: bytes, known: Container[str]) -> ChunkColumns:
    columns = _check_columns(chunks)
    for chunk in chunks:
        if chunk.key != key_id:
            raise broken(f"its actions are known under the key {chunk.key.hex()[:32]}, here under {key_id.hex()}")
    check_ids([song for song in columns.songs if song not in known])
    return columns


def _check_columns(chunks: Sequence[ActionChunk]) -> ChunkColumns:
    """The columns of chunks, which are held to their bounds."""
    for chunk in chunks:
        rows = len(chunk.minute)
        lengths = (len(chunk.song), len(chunk.region), len(chunk.kind), len(chunk.identities))
        if rows > CHUNK_ROWS or lengths != (2 * rows, 2 * rows, rows, 16 * rows):
            raise broken(f"{rows} actions, columns of {', '.join(map(str, lengths))} bytes")
    columns = join_chunks(chunks)
    ends = np.repeat(np.cumsum(columns.names), columns.rows)
    for place in np.flatnonzero(columns.song >= ends)[:1]:
        names = int(np.repeat(columns.names, columns.rows)[place])
        check_number("song", int(columns.song[place] - ends[place]) + names, 0, names - 1)
    check_column("region", columns.region, 0, MAX_REGION)
    check_column("minute", columns.minute, 0, 59)
    check_column("kind", columns.kind, 0, KINDS - 1)
    return columns


def _check_section(section: TextSection, actions: int) -> None:
    if len(section.minutes) != actions or len(section.regions) != 2 * actions:
        raise broken(f"{actions} actions, {len(section.minutes)} minutes, {len(section.regions)} bytes of regions")
    check_column("minute", np.frombuffer(section.minutes, np.uint8), 0, 59)
    check_column("region", np.frombuffer(section.regions, "<u2"), 0, MAX_REGION)
