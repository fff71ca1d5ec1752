"""Events become Parquet by day: days appear whole, and an export that ended half-way goes on."""

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from songline.processors.history.analysis.day_export import DAY_S, export_days
from songline.processors.history.archive.errors import DamagedFileError
from songline.processors.history.archive.history import HubHistory
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongLiked
from tests.support.archive_files import MemoryFiles, MemoryTail
from tests.support.capture_files import NOON, capture_file, record

FIRST = date(2025, 11, 22)


def liked(at: int) -> bytes:
    moment = datetime.fromtimestamp(NOON, UTC)
    return encode(Event(id=f"e-{at}", source="/s", time=moment, data=SongLiked(user_id="u", song_id=f"song-{at}")))


def archive() -> tuple[MemoryFiles, str]:
    """Four days of two events an hour, in files of 20; and the path of the last one."""
    files, last = MemoryFiles(), ""
    for minute, start in enumerate(range(0, 160, 20)):
        made = [record(at, NOON + 1_800 * at, liked(at)) for at in range(start, start + 20)]
        last = files.add(capture_file(made), minute)
    return files, last


def positions(folder: Path, day: str) -> list[int]:
    return [int(at) for at in pq.read_table(folder / day / "liked.parquet")["position"].to_pylist()]


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


async def test_days_are_written_once_and_whole(tmp_path: Path) -> None:
    files, _ = archive()
    shown: list[tuple[date, int, int]] = []
    wanted = {"2025-11-22": range(24), "2025-11-23": range(24, 72), "2025-11-24": range(72, 120)}

    def show(day: date, events: int, invalid: int) -> None:
        shown.append((day, events, invalid))

    assert await export_days(HubHistory(files), tmp_path, date(2025, 11, 24), show) == [FIRST, date(2025, 11, 23)]
    # As an export leaves it that was killed.
    (tmp_path / "2025-11-24.unfinished").mkdir()
    (tmp_path / "2025-11-24.unfinished" / "liked.parquet").write_bytes(b"half")
    assert await export_days(HubHistory(files), tmp_path, date(2025, 11, 25), show) == [date(2025, 11, 24)]
    assert names(tmp_path) == sorted(wanted)
    for day, held in wanted.items():
        assert positions(tmp_path, day) == list(held)
        assert pq.read_table(tmp_path / day / "played.parquet").num_rows == 0
    assert [events for _, events, _ in shown] == [24, 48, 48]
    assert NOON % DAY_S == DAY_S // 2


@pytest.mark.parametrize("name", ["2025-11-23", "2025-11-23.unfinished"])
@pytest.mark.parametrize("is_link", [False, True])
async def test_what_is_no_folder_of_a_day_is_not_taken_for_one(tmp_path: Path, name: str, *, is_link: bool) -> None:
    files, _ = archive()
    if is_link:
        (tmp_path / name).symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / name).write_text("notes")
    with pytest.raises(NotADirectoryError, match="expected the folder of a day: move it away") as raised:
        await export_days(HubHistory(files), tmp_path, date(2025, 11, 25), lambda *_: None)
    assert raised.value.filename == str(tmp_path / name)
    assert names(tmp_path) == [name]


async def test_the_tail_of_the_hub_is_read_once_for_all_days(tmp_path: Path) -> None:
    """Also where most days are empty, a day in the middle is there already, and the hub's clock goes back."""
    noon, day_s = NOON, DAY_S
    seconds = [noon, noon + 1, noon + day_s, noon + 9 * day_s, noon + 8 * day_s, noon + 10 * day_s, noon + 11 * day_s]
    tail = MemoryTail([(second, liked(at)) for at, second in enumerate(seconds)])
    files = MemoryFiles()
    files.add(capture_file([record(0, NOON, liked(0))]), 0)
    (tmp_path / "2025-11-26").mkdir()
    written = await export_days(HubHistory(files, tail), tmp_path, date(2025, 12, 3), lambda *_: None)
    assert len(written) == 10
    assert tail.readings == 2, "one for each run of days"
    held = {"2025-11-22": [0, 1], "2025-11-23": [2], "2025-12-01": [3, 4], "2025-12-02": [5]}
    assert {day.isoformat(): positions(tmp_path, day.isoformat()) for day in written} == {
        day.isoformat(): held.get(day.isoformat(), []) for day in written
    }


async def test_a_day_that_can_not_be_read_does_not_appear(tmp_path: Path) -> None:
    files, last = archive()
    files.files[last] = files.files[last][:-100]
    with pytest.raises(DamagedFileError):
        await export_days(HubHistory(files), tmp_path, date(2025, 11, 27), lambda *_: None)
    assert "2025-11-24" in names(tmp_path)
    assert "2025-11-25" not in names(tmp_path)
