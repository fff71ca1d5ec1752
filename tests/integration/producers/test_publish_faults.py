"""`songline publish` of a file that is full of faults."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner
from msgspec import structs

from songline.cli import main
from songline.schemas import examples
from songline.schemas.envelope import encode
from songline.schemas.events import SongLiked, SongUploaded
from songline.sending.submission import SHOWN
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


def test_nothing_of_a_pipe_is_lost(shared_localcloud: LocalCloud, tmp_path: Path) -> None:
    # As a shell makes one of <(zcat events.ndjson.gz): what was read of it can't be read again.
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writing = threading.Thread(target=path.write_bytes, args=((EVENT + b"\n") * 3,), daemon=True)
    writing.start()
    runner = CliRunner(env={**shared_localcloud.environment, "SONGLINE_DATA": str(tmp_path)})
    result = runner.invoke(main, ["publish", str(path)])
    assert (result.exit_code, result.output.split(",")[0]) == (0, "3 sent"), result.output
    writing.join(60)


def test_a_number_that_nothing_can_hold_costs_no_other_line(shared_localcloud: LocalCloud, tmp_path: Path) -> None:
    event = structs.replace(examples.EVENTS[SongUploaded], time=datetime.now(UTC))
    body = encode(event).replace(b'"title":"', b'"title":"Paper\\n', 1).replace(b"{", b'{"mood":1e999,', 1)
    path = tmp_path / "events.ndjson"
    path.write_bytes(body + b"\n" + EVENT)
    runner = CliRunner(env={**shared_localcloud.environment, "SONGLINE_DATA": str(tmp_path)})
    result = runner.invoke(main, ["publish", str(path)])
    assert (result.exit_code, result.output.split(",")[0]) == (0, "2 sent"), result.output
