"""Putting files into the index of a partition: they are scanned, and their rows are joined with those of others."""

from collections.abc import Callable, Container, Sequence

from songline.processors.history.archive.blob_files import ArchiveFile, ArchiveFiles
from songline.processors.history.index.file_scan import FileScan, ScannedFile
from songline.processors.history.index.index_blobs import IndexStore
from songline.processors.history.index.manifest import IndexedFile, IndexSegment, Manifest, joined_with
from songline.processors.history.index.segment import hash_listener, segment_bytes
from songline.processors.history.index.segment_rows import SegmentRows, joined, rows_of_files

SAVE_FILES = 64
SAVE_ROWS = 1_000_000
"""So many files or rows are scanned at most before they are saved."""


async def add_files(
    files: ArchiveFiles,
    blobs: IndexStore,
    partition: str,
    read: tuple[Manifest, str | None],
    missing: Sequence[ArchiveFile],
    new_id: Callable[[], str],
) -> None:
    """Scan some of the missing files and save what is found, unless another process was first. `read`: the manifest
    and its ETag, None where there is none. Raises AzureError."""
    manifest, etag = read
    hashes: dict[str, int] = {}

    def hash_of(user_id: str) -> int:
        found = hashes.get(user_id)
        if found is None:
            found = hashes[user_id] = hash_listener(user_id, manifest.key)
        return found

    scanned: list[ScannedFile] = []
    rows = 0
    for file in missing[:SAVE_FILES]:
        scanned.append(await FileScan(file, hash_of).run(files))
        rows += scanned[-1].rows.count
        if rows >= SAVE_ROWS:
            break
    kept = len(manifest.segments) - joined_with([one.rows for one in manifest.segments], rows)
    old = manifest.segments[kept:]
    headers = manifest.headers
    indexed: list[IndexedFile] = []
    parts: list[tuple[SegmentRows, Sequence[int]]] = []
    written_anew = {one.file.path for one in scanned}
    for segment in old:
        numbers, live = _numbered(segment.files, written_anew, len(indexed))
        parts.append((await _rows(blobs, segment), numbers))
        indexed += live
    parts.append((rows_of_files([one.rows for one in scanned]), range(len(indexed), len(indexed) + len(scanned))))
    for one in scanned:
        headers = headers if one.header in headers else (*headers, one.header)
        indexed.append(_indexed(one, headers.index(one.header)))
    found = joined(parts)
    name = f"{partition}/{new_id()}"
    await blobs.write_segment(name, found.encode())
    fresh = IndexSegment(name, len(found.rows), len(found.spans), tuple(indexed))
    made = Manifest(manifest.key, headers, (*manifest.segments[:kept], fresh))
    if await blobs.write_manifest(partition, made, etag) is None:
        await blobs.delete_segments([name])
        return
    await blobs.delete_segments([one.blob for one in old])


async def _rows(blobs: IndexStore, segment: IndexSegment) -> SegmentRows:
    data = await blobs.read_segment(segment.blob, 0, segment_bytes(segment.rows, segment.spans))
    return SegmentRows.decode(data, segment.rows, segment.spans)


def _numbered(
    files: Sequence[IndexedFile], written_anew: Container[str], start: int
) -> tuple[list[int], list[IndexedFile]]:
    """The new numbers of a segment's files from `start` on, -1 for those that were written anew; and the others."""
    numbers: list[int] = []
    live: list[IndexedFile] = []
    for file in files:
        is_live = file.path not in written_anew
        numbers.append(start + len(live) if is_live else -1)
        live += [file] if is_live else []
    return numbers, live


def _indexed(one: ScannedFile, header: int) -> IndexedFile:
    return IndexedFile(one.file.path, one.file.etag, one.range, one.count, one.is_rising, header, one.sync, one.damage)
