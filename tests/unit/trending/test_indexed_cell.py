"""An hour that is loaded in part, by its index, counts and saves what the same hour does that is loaded as a whole."""

from collections.abc import Iterator
from itertools import count
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.trending.action_hashes import hashes_of
from songline.processors.trending.cells import hour_index, index_builder
from songline.processors.trending.cells.action_codes import LOW_BITS, code
from songline.processors.trending.cells.chunks import chunk_actions
from songline.processors.trending.cells.columns import ActionColumns
from songline.processors.trending.cells.derived_file import BrokenFileError
from songline.processors.trending.cells.hour_index import HourIndex, decode_index
from songline.processors.trending.cells.partition_cells import PartitionCells
from songline.processors.trending.cells.state import CellFlush
from songline.processors.trending.cells.validation import check_chunk
from songline.processors.trending.song_index import REGION_BITS, SongIndex
from tests.support.hour_indexes import ask_index, index_file
from tests.support.trending import KEY

HOUR = 5
NOW_MS = 10 * 3_600_000
Chunks = list[bytes]


@pytest.fixture(autouse=True, scope="module")
def _small_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hour_index, "PAGE_ITEMS", 7)
        patch.setattr(hour_index, "GAP_PAGES", 1)
        patch.setattr(index_builder, "PART_ROWS", 5)
        yield


def file_of(blocks: list[Chunks]) -> bytes:
    """The index of an hour whose first blocks are these."""
    size_bytes = sum(len(chunk) for block in blocks for chunk in block)
    return index_file(([check_chunk(chunk, KEY.id) for chunk in block] for block in blocks), KEY, size_bytes)


class Owner:
    """An owner of the hour, which has loaded `blocks` and `chunks` as a whole, or by `index`, the bytes of a file."""

    def __init__(self, blocks: list[Chunks], chunks: Chunks, index: bytes | None, pieces: Iterator[int]) -> None:
        self.songs = SongIndex()
        self.cells = PartitionCells(self.songs, KEY, pieces)
        self._file = index
        header = None if index is None else decode_index(index)
        cell = self.cells.new_cell(HOUR, header)
        covered = 0 if header is None else len(header.blocks)
        saved = [*chunks, *(chunk for block in blocks[covered:] for chunk in block)]
        cell.restore([check_chunk(one, KEY.id, self.songs) for one in saved])
        self.cells.add(cell)

    def fold(self, actions: list[tuple[int, str, str, int, int]]) -> None:
        kinds, _, songs, regions, minutes = (list(column) for column in zip(*actions, strict=True))
        codes = code(self.songs.numbers(songs), *(np.array(one, np.int64) for one in (regions, minutes, kinds)))
        hashes = hashes_of([(kind, user, song) for kind, user, song, *_ in actions])
        self.cells.fold(ActionColumns(hashes, codes, np.full(len(codes), HOUR), [], []))

    def flush(self) -> tuple[dict[tuple[str, int], tuple[int, ...]], list[tuple[str, int, int, int]], Chunks]:
        """The counts, the actions that are saved, by song, and their chunks."""
        self.ask()
        (flush,) = self.cells.flush(NOW_MS)
        return self.counts(flush), self.saved(flush), list(flush.chunks.values())

    def ask(self) -> None:
        if self._file is not None:
            ask_index(self.cells, HOUR, self._file)
        assert not self.cells.missing()

    def counts(self, flush: CellFlush) -> dict[tuple[str, int], tuple[int, ...]]:
        mask = (1 << REGION_BITS) - 1
        rows = zip(flush.hours.pair.tolist(), flush.hours.counts.tolist(), strict=True)
        return {(self.songs.names[pair >> REGION_BITS], pair & mask): tuple(counts) for pair, counts in rows}

    def saved(self, flush: CellFlush) -> list[tuple[str, int, int, int]]:
        found = []
        for chunk in flush.chunks.values():
            songs = SongIndex()
            actions = chunk_actions(check_chunk(chunk, KEY.id), songs, KEY)
            for one, (first, second) in zip(actions.codes.tolist(), actions.identities.tolist(), strict=True):
                song = songs.names[one >> LOW_BITS + REGION_BITS]
                found.append((song, one & (1 << LOW_BITS + REGION_BITS) - 1, first, second))
        return found


def random_actions(random: Random, most: int) -> list[tuple[int, str, str, int, int]]:
    """Kind, listener, song, region and minute of actions, which are the same of an action that comes again."""
    found = []
    for _ in range(random.randint(1, most)):
        # Some songs have many actions, and some have few.
        song, user, kind = int(random.expovariate(0.4)), random.randrange(30), random.randrange(3)
        found.append((kind, f"user-{user}", f"song-{song}", (user * 7 + song) % 5, (user + song) % 60))
    return found


@effort(75)
@given(st.integers(0, 2**32 - 1))
def test_a_part_of_an_hour_counts_and_saves_as_the_whole_does(seed: int) -> None:
    """Owners that have loaded the hour as a whole and in part are fed the same; what they save is sealed, the index is
    made, made anew, or missing, and either is loaded again between any two steps."""
    random = Random(seed)
    pieces = (count(), count())
    blocks: list[Chunks] = []
    chunks: Chunks = []
    index: bytes | None = None
    whole, part = (Owner(blocks, chunks, None, one) for one in pieces)
    for _ in range(30):
        match random.choices(["fold", "flush", "seal", "index", "load", "again"], [8, 6, 2, 2, 3, 1])[0]:
            case "fold":
                actions = random_actions(random, 25)
                for owner in (whole, part):
                    owner.fold(actions)
                if random.random() < 0.3:
                    part.ask()
            case "flush" if whole.cells._waiting:
                expected, found = whole.flush(), part.flush()
                assert found[:2] == expected[:2]
                chunks += expected[2]
            case "seal" if chunks:
                # Some stay where they are, as after a crash in between.
                blocks.append(chunks)
                chunks = [one for one in chunks if random.random() < 0.2]
            case "index" if blocks:
                index = file_of(blocks[: random.randint(1, len(blocks))])
            case "again" if blocks:
                # Another owner has sealed some of it as well.
                blocks.append(random.choice(blocks))
            case "load" if not whole.cells._waiting:
                whole = Owner(blocks, chunks, None, pieces[0])
                part = Owner(blocks, chunks, index if random.random() < 0.9 else None, pieces[1])


def filled_index() -> tuple[bytes, HourIndex]:
    owner = Owner([], [], None, count())
    owner.fold(random_actions(Random(1), 300))
    file = file_of([owner.flush()[2]])
    return file, decode_index(file)


def test_an_index_with_any_byte_changed_or_missing_is_no_answer() -> None:
    """What is not covered by a checksum is what a reader does not need."""
    file, _ = filled_index()
    random = Random(2)
    for at in [*range(20), *random.sample(range(len(file)), 200)]:
        for broken in (file[:at] + bytes([file[at] ^ 1 << random.randrange(8)]) + file[at + 1 :], file[:at]):
            with pytest.raises(BrokenFileError):
                owner = Owner([], [], broken, count())
                owner.fold([(kind, "user-1", f"song-{song}", 1, 1) for kind in range(3) for song in range(40)])
                read_all(owner, broken)


def read_all(owner: Owner, file: bytes) -> None:
    """Ask for what is in the hour, and read all pages besides."""
    owner.ask()
    index = decode_index(file)
    for table in (index.rows, index.counts):
        wanted = np.array([(one << 58, 0) for one in range(64)], np.uint64)
        for run in table.runs(wanted):
            table.items(run, file[run.begin_byte : run.end_byte])


def test_a_late_event_reads_few_pages() -> None:
    file, index = filled_index()
    owner = Owner([], [], file, count())
    owner.fold([(0, "user-1", "song-5", 1, 1)])
    cell = owner.cells.indexed_cell(HOUR)
    assert cell is not None
    rows, counts = cell.runs(cell.question(owner.cells.unasked(HOUR)))
    assert sum(one.end - one.first for one in rows) <= 2
    assert sum(one.end - one.first for one in counts) <= 3
    owner.flush()
    assert cell.rows == 1, "what others did is not in memory"
    assert index.size_bytes > 0


def test_what_the_index_does_not_cover_is_held_once() -> None:
    file, _ = filled_index()
    before = Owner([], [], None, count())
    before.fold([(2, f"user-{user}", f"song-{user % 2}", 1, 1) for user in range(20)])
    owner = Owner([], before.flush()[2], file, count())
    for song in range(3):
        owner.fold([(0, "somebody", f"song-{song}", 1, 1)])
        owner.flush()
        cell = owner.cells.indexed_cell(HOUR)
        assert cell is not None
        assert cell.rows == 20 + song + 1


def test_an_action_that_waits_is_missed_until_it_was_asked_for() -> None:
    file, _ = filled_index()
    owner = Owner([], [], file, count())
    for user in range(2):
        owner.fold([(0, f"user-{user}", "song-5", 1, 1)])
        assert owner.cells.missing() == [HOUR]
        owner.ask()
        assert owner.cells.missing() == []
    owner.cells.drop(HOUR)
    assert owner.cells.missing() == [HOUR]


def test_an_index_of_nothing_answers() -> None:
    owner = Owner([], [], file_of([]), count())
    owner.fold([(0, "user-1", "song-5", 1, 1)])
    assert owner.flush()[0] == {("song-5", 1): (1, 0, 0)}
