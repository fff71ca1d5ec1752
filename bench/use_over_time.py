"""What a system takes over time: open files by process, and disk by what it holds."""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
from msgspec import Struct

from bench.measurement import Measurement
from bench.running_system import ProcessUse
from songline.schemas.channels import CATALOG

ROW = 16
EACH_S = 15.0
MUSIC = "hub music-events"
HUBS = "other hubs"
COMPACTED = "compacted hubs"
"""They hold the newest record of each key: trending's have the actions of open hours, so that they grow within one."""
ARCHIVE = "archive and songs"
DOCUMENTS = "documents"
REST = "logs and all else"
LATE_S = 60.0
"""A hub looks every half minute for segments whose events are all past their retention."""
FILES_MORE = 5
"""A process opens and closes some files all the while, so that two moments differ by a few."""

Samples: TypeAlias = Sequence[tuple[float, float]]
"""Seconds since the beginning, and what there was."""


class DiskUse(Struct):
    """What a data folder holds, over time: the bytes of each part, and the seconds for which hubs keep a segment."""

    parts: dict[str, list[tuple[float, float]]] = {}
    kept: list[tuple[float, float]] = []


class DiskSampler:
    """Samples what a data folder holds every `period_s`, in a thread, until the end of the block."""

    def __init__(self, data: Path, period_s: float = EACH_S) -> None:
        self._data, self._period_s = data, period_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample_on)
        self.use = DiskUse()

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def sample(self) -> None:
        """Look now as well."""
        at_s = time.monotonic() - self._began_s
        for part, held in folder_bytes(self._data).items():
            self.use.parts.setdefault(part, []).append((at_s, held))
        self.use.kept.append((at_s, kept_s(self._data, time.time())))

    def _sample_on(self) -> None:
        while not self._ended.wait(self._period_s):
            self.sample()


def folder_bytes(data: Path) -> dict[str, int]:
    """The bytes that a data folder takes on disk, by what they hold."""
    found = dict.fromkeys((MUSIC, HUBS, COMPACTED, ARCHIVE, DOCUMENTS, REST), 0)
    for folder, _, names in os.walk(data):
        part = _part(Path(folder).relative_to(data).parts)
        for name in names:
            try:
                found[part] += (Path(folder) / name).stat().st_blocks * 512
            except FileNotFoundError:
                # It was deleted since.
                continue
    return found


def kept_s(data: Path, now_s: float) -> float:
    """How long ago the oldest segment of the other hubs was written last; 0 where there is none.

    The newest segment of a partition stays, however old it is; so do those of music-events that Capture may still need.
    """
    oldest_s = now_s
    for partition in (data / "hubs" / "hubs").glob("*/*/"):
        is_other = _part(partition.relative_to(data).parts) == HUBS
        segments = sorted(partition.glob("*.log")) if is_other else []
        if len(segments) > 1:
            try:
                oldest_s = min(oldest_s, segments[0].stat().st_mtime)
            except FileNotFoundError:
                # It was deleted since.
                continue
    return now_s - oldest_s


def _part(path: tuple[str, ...]) -> str:
    match path:
        case ("hubs", "hubs", "music-events", *_):
            return MUSIC
        case ("hubs", "hubs", name, *_) if not _is_compacted(name):
            return HUBS
        case ("hubs", *_):
            return COMPACTED
        case ("blobs", *_):
            return ARCHIVE
        case ("cosmos", *_):
            return DOCUMENTS
        case _:
            return REST


def _is_compacted(hub: str) -> bool:
    return hub == CATALOG or hub.endswith("-changelog")


def file_rows(words: str, use: Mapping[str, ProcessUse], settled_s: float) -> Iterator[Measurement]:
    """How many more files each process has open in the last tenth than after `settled_s`."""
    for name, one in sorted(use.items()):
        before, after = levels(one.files, settled_s)
        what = f"{words}: files that {name} opened more ({after:.0f} at the end)"
        yield Measurement(row=ROW, what=what, figure=after - before, unit="files", wanted=f"<= {FILES_MORE}")


def disk_rows(
    words: str, disk: DiskUse, events_per_s: float, settled_s: float, retention_s: float | None
) -> Iterator[Measurement]:
    """How many bytes an event stay on disk after `settled_s`. With a retention hubs are to keep events for so long, and
    the one whose events are all alike is to be level from when the first segments are deleted."""
    accepted = accepted_bytes(disk.parts[MUSIC], events_per_s, retention_s)
    kept = Measurement(row=ROW, what=f"{words}: disk, an accepted event in its hub", figure=accepted, unit="bytes")
    yield kept
    grown = 0.0
    for part, samples in disk.parts.items():
        what = f"{words}: disk, {part} ({samples[-1][1] / 2**20:,.0f} MiB at the end)"
        if retention_s is not None and part in (MUSIC, HUBS):
            before, after = levels(samples, level_from_s(retention_s))
            # What the stages of trending say to each other takes more for as long as its lists fill.
            wanted = "<= 5" if part == MUSIC else ""
            yield Measurement(row=ROW, what=f"{what}, grew", figure=100 * (after / before - 1), unit="%", wanted=wanted)
            continue
        each = slope(samples, settled_s) / max(events_per_s, 1e-9)
        grown += each
        wanted = "<= 1" if part == REST else ""
        yield Measurement(row=ROW, what=what, figure=each, unit="bytes an event", wanted=wanted)
    if retention_s is not None:
        yield Measurement(
            row=ROW,
            what=f"{words}: disk, other hubs keep a segment after its last event",
            figure=max(held for _, held in disk.kept),
            unit="s",
            wanted=f"<= {retention_s + LATE_S:g}",
        )
    hubs = "" if retention_s is None else ", without the hubs that are level"
    yield Measurement(
        row=ROW,
        what=f"{words}: disk, all{hubs}",
        figure=grown,
        unit="bytes an event",
        ratio=grown / max(accepted, 1e-9),
        peer="an accepted event",
        wanted="<= 3",
    )


def level_from_s(retention_s: float) -> float:
    """When a hub is as large as it will be: a segment is deleted as a whole, and lasts an eighth of the retention and a
    minute at least."""
    return retention_s + max(120.0, retention_s / 4)


def accepted_bytes(samples: Samples, events_per_s: float, retention_s: float | None) -> float:
    """The bytes of an event in a hub that keeps everything yet."""
    last_s = samples[-1][0] if retention_s is None else min(retention_s, samples[-1][0])
    return slope([one for one in samples if one[0] <= last_s], 0.0) / max(events_per_s, 1e-9)


def slope(samples: Samples, begin_s: float) -> float:
    """What was added a second from `begin_s` on: the line through all samples, so that none decides."""
    at, held = zip(*_since(samples, begin_s), strict=True)
    return float(np.polyfit(at, held, 1)[0]) if len(set(at)) > 1 else 0.0


def levels(samples: Iterable[tuple[float, float]], begin_s: float) -> tuple[float, float]:
    """The medians of a minute or a tenth from `begin_s` on, and of the last tenth."""
    found = list(samples)
    last_s = found[-1][0]
    begin_s = min(begin_s, last_s * 0.9)
    window_s = max(60.0, last_s / 10)
    before = [held for at, held in found if begin_s <= at <= begin_s + window_s]
    after = [held for at, held in found if at >= last_s * 0.9]
    return float(np.median(before)), float(np.median(after))


def _since(samples: Samples, begin_s: float) -> Samples:
    """The samples from then on; all of them where there is none."""
    return [one for one in samples if one[0] >= begin_s] or samples
