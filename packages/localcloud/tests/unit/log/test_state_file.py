"""The small files beside the segments: whole or not there, and one flipped bit is named or changes nothing."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.capture.state_file import CaptureState, PlannedFile, load_state, save_state
from localcloud.config import HubConfig
from localcloud.log.errors import LogOpenError
from localcloud.log.hub_file import HubFile
from localcloud.log.state_file import read_state, write_state
from localcloud_tests.unit.log.machine import temporary_folder

HUB = HubFile.of(
    HubConfig("music-events", 4, ("library", "trending"), retention_ms=604_800_000), 1_764_000_000_000, None
)
PLANNED = PlannedFile(
    "archive", "ns/hub/0/2026/11/29/14/00/00.avro", 17, 203, 1 << 20, "null", 1_764_000_000, 1_764_000_060
)
CAPTURE = CaptureState(203, 1_764_000_060, (PLANNED,))


@given(state=st.sampled_from([HUB, CAPTURE]), place=st.integers(0, 2**20))
def test_a_flipped_bit_is_named_or_changes_nothing(state: HubFile | CaptureState, place: int) -> None:
    with temporary_folder() as folder:
        folder.mkdir()
        file = folder / "state.json"
        write_state(file, state)
        assert [path.name for path in folder.iterdir()] == ["state.json"]
        assert read_state(file, type(state), "go on") == state
        content = bytearray(file.read_bytes())
        bit = place % (8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        try:
            found: object = read_state(file, type(state), "go on")
        except LogOpenError as error:
            said = str(error)
        else:
            said = f"{file} go on"
            # A space, or the name of the checksum's field.
            assert found == state
        assert str(file) in said
        assert "go on" in said


def test_files_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "hub.json").write_bytes(msgspec.json.encode(HUB))
    assert HubFile.read(tmp_path) == HUB
    (tmp_path / "capture.json").write_bytes(msgspec.json.encode(CAPTURE))
    assert load_state(tmp_path) == CAPTURE


def test_a_file_that_a_later_version_wrote_is_read(tmp_path: Path) -> None:
    class Later(HubFile):
        colour: str = "blue"

    write_state(tmp_path / "hub.json", Later(**msgspec.to_builtins(HUB)))
    assert HubFile.read(tmp_path) == HUB


def test_a_changed_number_is_named_with_what_to_do(tmp_path: Path) -> None:
    HUB.write(tmp_path)
    save_state(tmp_path, CAPTURE)
    for name in ("hub.json", "capture.json"):
        file = tmp_path / name
        file.write_text(file.read_text().replace("203", "207").replace("604800000", "604800001"))
    with pytest.raises(LogOpenError, match=r"hub.json is damaged: it is not what was written. Restore it, or move the"):
        HubFile.read(tmp_path)
    with pytest.raises(LogOpenError, match=r"capture.json is damaged.*captured once more from its first event on"):
        load_state(tmp_path)
