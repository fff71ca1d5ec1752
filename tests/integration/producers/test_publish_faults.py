"""`songline publish` of a file that is full of faults."""

from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner
from msgspec import structs

from schemas import examples
from schemas.envelope import encode
from schemas.events import SongLiked
from songline.cli import main
from songline.submission import SHOWN
from tests.support.localcloud import LocalCloud

EVENT = encode(structs.replace(examples.EVENTS[SongLiked], time=datetime.now(UTC)))


def test_of_very_many_faults_some_are_shown_and_all_summed_up(shared_localcloud: LocalCloud, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"specversion":"1.0"}\n' * 5_000 + b"\xff\n" * 500 + EVENT)
    runner = CliRunner(env={**shared_localcloud.environment, "SONGLINE_DATA": str(tmp_path)})
    result = runner.invoke(main, ["publish", str(path)])
    assert result.exit_code == 1, result.output
    lines = result.output.splitlines()
    assert len(lines) < SHOWN + 20
    assert lines[0].startswith("line 1: ")
    assert lines[-1].startswith("1 sent, 5,500 refused")
    assert sum(int(line.split(" ", 1)[0].replace(",", "")) for line in lines if " more: " in line) == 5_500 - SHOWN
