"""Log compaction: of each key only the last record stays, at the offset it always had.

As Kafka's log cleaner does it (https://kafka.apache.org/documentation/#compaction): tombstones (null values) stay until
they are old enough for every reader to have met them, and a batch that keeps a record keeps its first and last offset.
The very last record stays as well. Kafka has no need to say so, since its active segment is never cleaned and holds it;
here a crash can leave that segment empty, and readers that catch up would wait for a record that is gone.
Kafka's cleaner drops records without a key; here they are kept.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from localcloud.log.batch import header_of, records, with_records
from localcloud.log.errors import DamagedLogError
from localcloud.log.frame import frame_of
from localcloud.log.index import SegmentIndex
from localcloud.log.segment import Segment, StoredBatch


class CompactedFiles(NamedTuple):
    """Finished files that are not in place yet: (first base offset, temporary file, its index)."""

    outputs: list[tuple[int, Path, SegmentIndex]]


def latest_offsets(batches: Iterable[StoredBatch], known: dict[bytes, int]) -> None:
    """Note each key's last offset in `known`."""
    for batch in batches:
        for record in records(batch.data):
            if record.key is not None:
                known[record.key] = batch.base_offset + record.offset_delta


def survivor(batch: StoredBatch, latest: dict[bytes, int], end: int, tombstones_before_ms: int) -> bytes | None:
    """What remains of the batch: its own bytes when all of it does, a rewritten batch, or None.

    `end` is the last offset of all, whose record stays even when it is an old tombstone.
    """
    every = list(records(batch.data))
    tombstones_stay = batch.enqueued_ms >= tombstones_before_ms
    kept = [
        record
        for record in every
        if record.key is None
        or (
            latest.get(record.key) == (offset := batch.base_offset + record.offset_delta)
            and (record.value is not None or tombstones_stay or offset == end)
        )
    ]
    if len(kept) == len(every):
        return batch.data
    return with_records(batch.data, kept) if kept else None


def compact(segments: Sequence[Segment], tombstones_before_ms: int, segment_bytes: int) -> CompactedFiles:
    """In a thread: write what survives of the sealed `segments` to temporary files, neighbours merged.

    Raises OSError and DamagedLogError, and leaves no file behind then: what a full disk needs most is room.
    """
    outputs: list[tuple[int, Path, SegmentIndex]] = []
    try:
        _write_survivors(segments, tombstones_before_ms, segment_bytes, outputs)
    except (OSError, DamagedLogError):
        for _, fresh, _ in outputs:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
        raise
    return CompactedFiles(outputs)


def _write_survivors(
    segments: Sequence[Segment],
    tombstones_before_ms: int,
    segment_bytes: int,
    outputs: list[tuple[int, Path, SegmentIndex]],
) -> None:
    latest: dict[bytes, int] = {}
    for segment in segments:
        latest_offsets(segment.read_all(), latest)
    end = max(segment.index.last_offset for segment in segments)
    for segment in segments:
        room = bool(outputs) and outputs[-1][2].size + segment.size <= segment_bytes
        if not room:
            outputs.append((segment.base_offset, segment.path.with_suffix(".log-new"), SegmentIndex()))
        _, fresh, index = outputs[-1]
        with fresh.open("ab" if room else "wb") as file:
            for batch in segment.read_all():
                data = survivor(batch, latest, end, tombstones_before_ms)
                if data is None:
                    continue
                frame = frame_of(batch.enqueued_ms, data)
                file.write(frame)
                timestamp = header_of(data).max_timestamp
                index.add(batch.base_offset, batch.last_offset, batch.enqueued_ms, timestamp, len(frame))
            file.flush()
            os.fsync(file.fileno())


def replace_files(sealed: Sequence[Segment], compacted: CompactedFiles) -> list[Segment]:
    """Put the finished files in place of the sealed segments, so that a crash at any step leaves a readable log.

    A new file takes the place of the first segment it was made from, and the others go before the next file comes: a
    later file may lack the tombstone that keeps an earlier segment's record deleted. What a crash leaves of those
    others is harmless beside the later segments as they were; where it lies within the new file's range, opening knows
    it for a leftover.
    """
    replaced = []
    ends = [*(output[0] for output in compacted.outputs[1:]), sealed[-1].base_offset + 1]
    for (base_offset, fresh, index), end in zip(compacted.outputs, ends, strict=True):
        segment = Segment(fresh.with_suffix(".log"), index)
        segment.path.with_suffix(".index").unlink(missing_ok=True)
        fresh.replace(segment.path)
        with contextlib.suppress(OSError):  # a full disk: readers can do without, and opening makes it again
            index.save(segment.path.with_suffix(".index"))
        segment.seal()
        replaced.append(segment)
        for merged in sealed:
            if base_offset < merged.base_offset < end:
                merged.path.with_suffix(".index").unlink(missing_ok=True)
                merged.path.unlink(missing_ok=True)
    return replaced
