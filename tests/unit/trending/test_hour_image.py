"""An hour that is restored by its image counts and saves what the same hour does that is loaded by its blocks."""

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from localcloud_tests.support.fuzzing import effort
from songline.processors.trending import sorted_columns
from songline.processors.trending.cells import hour_image, state
from songline.processors.trending.cells.action_codes import code
from songline.processors.trending.cells.chunks import Actions
from songline.processors.trending.cells.derived_file import BrokenFileError, encode_header, header_size
from songline.processors.trending.cells.hour_image import (
    MAGIC,
    ImageReader,
    ImageWriter,
    RunSize,
    decode_image_header,
)
from songline.processors.trending.cells.state import Cell, CellFlush
from songline.processors.trending.cells.validation import check_chunk
from songline.processors.trending.song_index import SongIndex
from tests.support.trending import KEY

HOUR = 5


@pytest.fixture(autouse=True, scope="module")
def _small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hour_image, "PART_BYTES", 50)
        patch.setattr(hour_image, "BLOCK", 7)
        patch.setattr(sorted_columns, "BLOCK", 7)
        patch.setattr(state, "COUNT_ROWS", 5)
        yield


class NamedAction(NamedTuple):
    """An action: a word of its identity, and what it counts for."""

    word: int
    song: str
    region: int
    minute: int
    kind: int


class Owner:
    """A cell of one process, in which songs have numbers of their own."""

    def __init__(self, known: int = 0) -> None:
        self.songs = SongIndex()
        # Songs of other hours.
        self.songs.numbers([f"song-{number}" for number in range(known, 0, -1)])
        self.cell = Cell(HOUR, self.songs, KEY, count())

    def fold(self, actions: list[NamedAction]) -> list[bytes]:
        """Count actions; what was counted and is saved must be the same in all owners."""
        return list(self.flush(actions).chunks.values())

    def flush(self, actions: list[NamedAction]) -> CellFlush:
        hashes = np.array([(one.word % 7, one.word) for one in actions], np.uint64).reshape(-1, 2)
        columns = (np.array([one[place] for one in actions], np.int64) for place in (2, 3, 4))
        codes = code(self.songs.numbers([one.song for one in actions]), *columns)
        return self.cell.flush(Actions(hashes, codes))

    def counts(self, actions: list[NamedAction]) -> list[tuple[object, ...]]:
        """All counts of these songs after these actions."""
        flush = self.flush(actions)
        found = []
        for rows in (flush.minutes, flush.hours):
            for pair, bucket, counts in zip(
                rows.pair.tolist(), rows.bucket.tolist(), rows.counts.tolist(), strict=True
            ):
                found.append((self.songs.names[pair >> 10], pair & 1_023, bucket, tuple(counts)))
        return sorted(found)

    def load(self, chunks: list[bytes]) -> None:
        self.cell.restore([check_chunk(one, KEY.id, self.songs) for one in chunks])


def image_of(owner: Owner, meanwhile: Sequence[NamedAction] = ()) -> bytes:
    """The image of a cell, in which actions are counted while it is made."""
    waiting = list(meanwhile)
    with owner.cell.kept() as columns:
        writer = ImageWriter(columns, owner.songs.names)
        made = []
        for part in writer.parts():
            made.append(part)
            owner.fold([waiting.pop()] if waiting else [])
        return writer.header(KEY, ["one", "two"], 12) + b"".join(made)


def restore(owner: Owner, file: bytes, piece_bytes: int = 33) -> None:
    begin = header_size(MAGIC, file)
    header = decode_image_header(file[:begin])
    reader = ImageReader(header, len(file) - begin)
    for start in range(begin, len(file), piece_bytes):
        reader.add(file[start : start + piece_bytes])
    owner.cell.restore_columns(reader.columns(owner.songs.numbers(header.songs)))


def random_actions(random: Random, most: int) -> list[NamedAction]:
    """Actions, of which one that comes again is the same."""
    found = []
    for _ in range(random.randint(0, most)):
        word, song = random.randrange(60), int(random.expovariate(0.3))
        found.append(NamedAction(word, f"song-{word % 5 + song % 2 * 5}", word % 3, word % 60, word % 3))
    return found


@effort(75)
@given(st.integers(0, 2**32 - 1))
def test_an_hour_is_the_same_by_its_image_as_by_its_blocks(seed: int) -> None:
    check_image(Random(seed), known=seed % 9)


def test_so_it_is_where_songs_have_large_numbers() -> None:
    check_image(Random(1), known=70_000)


def check_image(random: Random, known: int) -> None:
    """Have one owner restore an hour by an image and by what was saved since, and one by all that was saved."""
    writer, saved = Owner(known), list[bytes]()
    for _ in range(random.randint(1, 6)):
        saved += writer.fold(random_actions(random, 30))
    covered, rows, meanwhile = len(saved), writer.cell.rows, random_actions(random, 10)
    file = image_of(writer, meanwhile)
    # What was counted while the image was made is saved nowhere, and comes again.
    saved += writer.fold(random_actions(random, 30))
    by_image, by_blocks = Owner(random.randint(0, 9)), Owner()
    restore(by_image, file, random.randint(1, 200))
    assert by_image.cell.rows == rows
    by_image.load(saved[covered:] + random.sample(saved, len(saved) // 2))
    by_blocks.load(saved)
    assert by_image.cell.rows == by_blocks.cell.rows
    for _ in range(3):
        actions = [*random_actions(random, 30), *meanwhile]
        assert by_image.counts(actions) == by_blocks.counts(actions)


def filled() -> Owner:
    owner = Owner()
    for start in range(0, 60, 20):
        owner.fold([NamedAction(word, f"song-{word % 5}", 1, word, 0) for word in range(start, start + 20)])
    return owner


def test_what_is_counted_while_an_image_is_made_is_not_in_it() -> None:
    owner = filled()
    meanwhile = [NamedAction(word, "song-1", 1, 3, 0) for word in range(100, 130)]
    file = image_of(owner, meanwhile)
    assert owner.cell.rows > 60
    restored = Owner()
    restore(restored, file)
    assert restored.cell.rows == 60
    counts = restored.counts(meanwhile)
    assert ("song-1", 1, HOUR, (42, 0, 0)) in counts


def test_an_image_with_any_byte_changed_or_missing_is_refused() -> None:
    file = image_of(filled())
    restore(Owner(), file)
    random = Random(1)
    for place in {0, 3, 5, 9, len(file) - 1, *random.sample(range(len(file)), 300)}:
        changed = bytearray(file)
        changed[place] ^= 1 << random.randrange(8)
        with pytest.raises(BrokenFileError):
            restore(Owner(), bytes(changed))
    for size in (0, 3, 11, 40, header_size(MAGIC, file), len(file) - 1):
        with pytest.raises(BrokenFileError):
            restore(Owner(), file[:size])
    with pytest.raises(BrokenFileError):
        restore(Owner(), file + b"x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("identities", [RunSize(-1, 8, 8)]),
        ("identities", [RunSize(60, 3, 8)]),
        ("identities", [RunSize(2**50, 8, 8)]),
        ("minutes", [RunSize(0, 4, 1)]),
        ("minutes", [RunSize(60, 4, 9)]),
        ("numbers", b""),
        ("numbers", np.array([5, 6, 7, 8, 9], "<u4").tobytes()),
        ("numbers", np.array([4, 3, 2, 1, 0], "<u4").tobytes()),
        ("songs", ["song-1"]),
    ],
)
def test_a_header_that_is_not_that_of_its_columns_is_refused(field: str, value: object) -> None:
    file = image_of(filled())
    begin = header_size(MAGIC, file)
    header = structs.replace(decode_image_header(file), **{field: value})
    with pytest.raises(BrokenFileError):
        restore(Owner(), encode_header(MAGIC, header) + file[begin:])


def test_an_image_of_nothing_is_an_empty_hour() -> None:
    restored = Owner()
    restore(restored, image_of(Owner()))
    assert restored.cell.rows == 0
