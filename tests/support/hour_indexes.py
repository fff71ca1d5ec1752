"""Indexes of hours as files in memory."""

from collections.abc import Iterable

from songline.processors.trending.cells.chunks import SavedChunk
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.index_builder import IndexBuilder
from songline.processors.trending.cells.partition_cells import PartitionCells


def index_file(blocks: Iterable[list[SavedChunk]], key: IdentityKey, size_bytes: int = 0) -> bytes:
    """The index of an hour that begins with these blocks, whose ids are 0, 1, … and which have `size_bytes`."""
    builder = IndexBuilder(size_bytes, key)
    ids = []
    for number, block in enumerate(blocks):
        builder.add(block)
        ids.append(str(number))
    pages = list(builder.pages())
    return builder.header(ids) + b"".join(one.rows for one in pages) + b"".join(one.counts for one in pages)


def ask_index(cells: PartitionCells, hour: int, file: bytes) -> None:
    """Have the hour's cell know what its index, of these bytes, says of the events that wait."""
    cell, batches = cells.indexed_cell(hour), cells.unasked(hour)
    if cell is not None and batches:
        question = cell.question(batches)
        rows, counts = ([file[run.begin_byte : run.end_byte] for run in runs] for runs in cell.runs(question))
        cell.answer(question, rows, counts)
        cells.add_asked(hour, len(batches))
