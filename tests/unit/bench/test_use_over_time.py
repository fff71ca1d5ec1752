"""What a soak says of a system that grows, and of one that does not."""

import os
from pathlib import Path

import pytest

from bench.declared_retention import declared_with
from bench.measurement import Measurement
from bench.running_system import ProcessUse
from bench.use_over_time import (
    ARCHIVE,
    COMPACTED,
    DOCUMENTS,
    HUBS,
    MUSIC,
    REST,
    DiskUse,
    disk_rows,
    file_rows,
    folder_bytes,
    kept_s,
)
from localcloud.config import read_hubs
from songline.commands.up import DECLARED, PORTS, environment
from songline.processes.cloud_keys import PUBLISHED
from songline.processes.emulator_files import FOLDER

RATE = 5_000.0
HALF_HOUR = [number * 15.0 for number in range(121)]


def use(files: list[float]) -> dict[str, ProcessUse]:
    return {"api": ProcessUse(0.0, [], list(zip(HALF_HOUR, map(int, files), strict=True)))}


def grows(each: float, begin: float = 0.0, most_s: float = 1_800.0) -> list[tuple[float, float]]:
    """A part of a disk that takes `each` bytes an event until `most_s`."""
    return [(at, begin + each * RATE * min(at, most_s)) for at in HALF_HOUR]


def met(rows: list[Measurement]) -> dict[str, bool | None]:
    return {one.what: one.met for one in rows}


def test_files_that_are_never_closed_are_told() -> None:
    (row,) = file_rows("soak", use([30 + at / 60 for at in HALF_HOUR]), 300.0)
    assert row.figure == pytest.approx(23, abs=1.5)
    assert row.met is False
    # Caches and connections of the first minutes are no leak, and one more or less is none.
    (row,) = file_rows("soak", use([min(30, at / 10) + number % 3 for number, at in enumerate(HALF_HOUR)]), 300.0)
    assert row.met is True


def test_a_disk_that_holds_what_was_accepted_is_level_for_all_else() -> None:
    parts = {
        MUSIC: grows(450.0, most_s=640),
        HUBS: grows(150.0, most_s=640),
        COMPACTED: grows(25.0),
        ARCHIVE: grows(430.0),
        DOCUMENTS: grows(30.0, 50e6),
        REST: grows(0.0, 60e3),
    }
    disk = DiskUse(parts, kept=[(at, min(at, 640.0)) for at in HALF_HOUR])
    rows = list(disk_rows("soak", disk, RATE, 300.0, 600.0))
    assert rows[0].figure == pytest.approx(450)
    assert rows[-1].figure == pytest.approx(485)
    assert False not in met(rows).values()


def test_logs_that_grow_with_events_and_hubs_that_are_not_level_are_told() -> None:
    parts = {
        MUSIC: grows(450.0),
        HUBS: grows(150.0),
        COMPACTED: grows(25.0),
        ARCHIVE: grows(430.0),
        DOCUMENTS: grows(1_500.0),
        REST: grows(20.0),
    }
    disk = DiskUse(parts, kept=[(at, at) for at in HALF_HOUR])
    wrong = [what for what, holds in met(list(disk_rows("soak", disk, RATE, 300.0, 600.0))).items() if holds is False]
    assert [what.partition(" (")[0] for what in wrong] == [
        f"soak: disk, {MUSIC}", f"soak: disk, {REST}", "soak: disk, other hubs keep a segment after its last event",
        "soak: disk, all, without the hubs that are level",
    ]  # fmt: skip


def test_without_a_retention_the_hubs_are_part_of_what_stays() -> None:
    parts = {MUSIC: 450.0, HUBS: 30.0, COMPACTED: 20.0, ARCHIVE: 430.0, DOCUMENTS: 30.0, REST: 0.0}
    disk = DiskUse({part: grows(each) for part, each in parts.items()})
    rows = list(disk_rows("soak", disk, RATE, 300.0, None))
    assert rows[-1].figure == pytest.approx(960)
    assert rows[-1].met is True


def test_a_folder_is_counted_by_what_it_holds(tmp_path: Path) -> None:
    for path in (
        "hubs/hubs/music-events/0/a.log", "hubs/hubs/trending-tops/0/a.log", "hubs/hubs/cells-changelog/0/a.log",
        "blobs/b", "cosmos/c", "logs/api.log",
    ):  # fmt: skip
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(40_000))
    found = folder_bytes(tmp_path)
    assert list(found) == [MUSIC, HUBS, COMPACTED, ARCHIVE, DOCUMENTS, REST]
    assert all(40_000 <= held < 80_000 for held in found.values())


def test_the_age_of_what_hubs_keep_is_that_of_the_oldest_segment_that_could_go(tmp_path: Path) -> None:
    assert kept_s(tmp_path, 1_000.0) == 0
    for path, at_s in {
        "partials/0/00.log": 400, "partials/0/10.log": 900, "partials/1/00.log": 500, "partials/1/10.log": 950,
        "now-playing/0/00.log": 100, "cells-changelog/0/00.log": 10, "cells-changelog/0/10.log": 20,
        "music-events/0/00.log": 30, "music-events/0/10.log": 40,
    }.items():  # fmt: skip
        file = tmp_path / "hubs" / "hubs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (at_s, at_s))
    assert kept_s(tmp_path, 1_000.0) == 600


def test_hubs_are_declared_with_another_retention(tmp_path: Path) -> None:
    before = {
        one.name: one for one in read_hubs([FOLDER / "eventhubs" / each for each in ("Config.json", "localcloud.json")])
    }
    folder = declared_with(tmp_path / "declared", 600)
    found = read_hubs([folder / "eventhubs" / each for each in ("Config.json", "localcloud.json")])
    assert {one.name for one in found} == before.keys()
    for one in found:
        assert one.retention_ms == (before[one.name].retention_ms if one.compacted else 600_000), one.name
        assert (one.compacted, one.capture, one.partitions) == (
            before[one.name].compacted, before[one.name].capture, before[one.name].partitions,
        )  # fmt: skip


def test_up_reads_another_folder_of_declarations(tmp_path: Path) -> None:
    ports = dict.fromkeys(PORTS, 1)
    assert environment({}, tmp_path, ports, 1, PUBLISHED)[DECLARED] == str(FOLDER)
    assert environment({DECLARED: ""}, tmp_path, ports, 1, PUBLISHED)[DECLARED] == str(FOLDER)
    assert environment({DECLARED: "/declared"}, tmp_path, ports, 1, PUBLISHED)[DECLARED] == "/declared"
