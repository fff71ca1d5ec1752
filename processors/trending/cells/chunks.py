"""How the actions of a cell are saved: in chunks, in columns of bytes.

A chunk names its songs, since their numbers are those of one process. Chunks of older versions hold an action as
text, from which its identity is made when they are read.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct

from songline.processors.trending.action_hashes import Hashes, hashes_of
from songline.processors.trending.cells.action_codes import KIND_BITS, MINUTE_BITS, code
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.song_index import REGION_BITS, Ints, SongIndex
from songline.processors.trending.sorted_columns import Column
from songline.schemas.decoding import MsgpackDecoder

CHUNK_ROWS = 4_000
"""Actions a chunk: at most 22 bytes each and 131 for the name of its song, so that a chunk keeps below 620 KB."""


class ActionChunk(Struct, frozen=True, array_like=True, tag=2):
    """Actions in columns of equal length.

    `key`: the id of the key under which `identities` (16 bytes each) were made. `song` (uint16) points into `songs`;
    `region` (uint16) is a region's number; `minute` (uint8) is that of the hour; `kind` (uint8): see `count_table`.
    """

    key: bytes
    songs: list[str]
    song: bytes
    region: bytes
    minute: bytes
    kind: bytes
    identities: bytes


_COLUMNS = b"\x98\x02"
"""How an ActionChunk begins: an array of eight, the first of which is its tag. An older chunk begins with the number of
its sections, of which a quiet hour has some hundreds: in three bytes, and the second may be that of the tag."""


class TextSection(Struct, frozen=True, array_like=True):
    """Actions as older versions saved them, in lists of such sections. `keys`: `{kind}{user} {song}`, joined by line
    feeds; minute of the hour (uint8), number of the region (uint16)."""

    keys: str
    minutes: bytes
    regions: bytes


SavedChunk: TypeAlias = ActionChunk | list[TextSection]


class ChunkColumns(NamedTuple):
    """The columns of chunks, those of each behind those of the one before. `rows` and `names`: how many of each chunk.
    `song` points into `songs`."""

    rows: Ints
    names: Ints
    songs: list[str]
    song: Ints
    region: Column
    minute: Column
    kind: Column
    identities: Hashes


class SealedMark(Struct, frozen=True, array_like=True, tag=3):
    """That an hour was sealed: its blob has so many bytes at least."""

    size_bytes: int


class Actions(Struct, frozen=True):
    """Actions in columns: `identities` (n, 2) and `codes` (see `action_codes.code`)."""

    identities: Hashes
    codes: Ints

    def __len__(self) -> int:
        return len(self.codes)


def join_actions(parts: list[Actions]) -> Actions:
    """The actions of at least one part, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Actions(np.concatenate([part.identities for part in parts]), np.concatenate([part.codes for part in parts]))


def encode_chunk(actions: Actions, songs: SongIndex, key: IdentityKey) -> bytes:
    """CHUNK_ROWS actions or fewer as a chunk."""
    codes = actions.codes
    numbers, song = np.unique(codes >> KIND_BITS + MINUTE_BITS + REGION_BITS, return_inverse=True)
    return _encode(
        ActionChunk(
            key=key.id,
            songs=[songs.names[number] for number in numbers.tolist()],
            song=song.astype("<u2").tobytes(),
            region=(codes >> KIND_BITS + MINUTE_BITS & (1 << REGION_BITS) - 1).astype("<u2").tobytes(),
            minute=(codes >> KIND_BITS & (1 << MINUTE_BITS) - 1).astype(np.uint8).tobytes(),
            kind=(codes & (1 << KIND_BITS) - 1).astype(np.uint8).tobytes(),
            identities=actions.identities.astype("<u8").tobytes(),
        )
    )


def decode_chunk(value: bytes) -> SavedChunk:
    """A saved chunk of this version or an older one. Raises PoisonError."""
    return _decode(value) if value[:2] == _COLUMNS else _decode_text(value)


def join_chunks(chunks: Sequence[ActionChunk]) -> ChunkColumns:
    """The columns of chunks."""
    rows = np.array([len(chunk.minute) for chunk in chunks], np.int64)
    names = np.array([len(chunk.songs) for chunk in chunks], np.int64)
    begins = np.repeat(np.cumsum(names) - names, rows)
    return ChunkColumns(
        rows,
        names,
        list(chain.from_iterable(chunk.songs for chunk in chunks)),
        np.frombuffer(b"".join([chunk.song for chunk in chunks]), "<u2") + begins,
        np.frombuffer(b"".join([chunk.region for chunk in chunks]), "<u2"),
        np.frombuffer(b"".join([chunk.minute for chunk in chunks]), np.uint8),
        np.frombuffer(b"".join([chunk.kind for chunk in chunks]), np.uint8),
        np.frombuffer(b"".join([chunk.identities for chunk in chunks]), "<u8").reshape(-1, 2),
    )


def chunk_actions(chunk: SavedChunk | ChunkColumns, songs: SongIndex, key: IdentityKey) -> Actions:
    """The actions of a chunk or of joined chunks, all of which were checked (`validation.check_chunk`), by the numbers
    that songs have here."""
    if isinstance(chunk, list):
        return join_actions([_text_actions(section, songs, key) for section in chunk] or [_no_actions()])
    columns = join_chunks([chunk]) if isinstance(chunk, ActionChunk) else chunk
    numbers = songs.numbers(columns.songs)
    return Actions(
        columns.identities.astype(np.uint64, copy=False),
        code(
            numbers[columns.song] if len(numbers) else numbers,
            columns.region.astype(np.int64),
            columns.minute.astype(np.int64),
            columns.kind.astype(np.int64),
        ),
    )


def merged_chunks(chunks: Iterable[SavedChunk | ChunkColumns], key: IdentityKey) -> Iterator[bytes]:
    """The actions of chunks that were checked, in as few chunks as hold them.

    Those of a song stand beside each other, so that few chunks name it: names are what takes time to read.
    """
    songs = SongIndex()
    parts = [chunk_actions(chunk, songs, key) for chunk in chunks]
    actions = join_actions(parts or [_no_actions()])
    order = np.argsort(actions.codes)
    for start in range(0, len(actions), CHUNK_ROWS):
        rows = order[start : start + CHUNK_ROWS]
        yield encode_chunk(Actions(actions.identities[rows], actions.codes[rows]), songs, key)


def _text_actions(section: TextSection, songs: SongIndex, key: IdentityKey) -> Actions:
    keys = section.keys.split("\n")
    kinds = [int(one[0]) for one in keys]
    users = [one[1:].partition(" ")[0] for one in keys]
    song_ids = [one.partition(" ")[2] for one in keys]
    return Actions(
        key.identities(hashes_of(list(zip(kinds, users, song_ids, strict=True)))),
        code(
            songs.numbers(song_ids),
            np.frombuffer(section.regions, "<u2").astype(np.int64),
            np.frombuffer(section.minutes, np.uint8).astype(np.int64),
            np.array(kinds, np.int64),
        ),
    )


def _no_actions() -> Actions:
    return Actions(np.zeros((0, 2), np.uint64), np.zeros(0, np.int64))


def encode_mark(size_bytes: int) -> bytes:
    return _encode(SealedMark(size_bytes))


_encode = msgspec.msgpack.Encoder().encode
_decode = MsgpackDecoder(ActionChunk).decode
_decode_text = MsgpackDecoder(list[TextSection]).decode
decode_mark = MsgpackDecoder(SealedMark).decode
