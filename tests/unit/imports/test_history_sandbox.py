"""The process that reads a history."""

import gzip
import json
from pathlib import Path

import pytest

from songline.processors.imports.history_sandbox import BATCH_ROWS, HistorySandbox
from songline.processors.imports.rows import HistoryRow, UnreadableHistoryError
from tests.support.histories import Heard, listenbrainz_row


@pytest.mark.parametrize("count", [20, BATCH_ROWS + 20])
async def test_what_stands_before_the_place_where_a_file_breaks_is_read(tmp_path: Path, count: int) -> None:
    heard = Heard(1_616_432_100_000, "Paper Lanterns", "Benno Falk")
    lines = "".join(json.dumps(listenbrainz_row(heard)) + "\n" for _ in range(count))
    path = tmp_path / "history"
    path.write_bytes(gzip.compress(lines.encode())[:-8])
    rows: list[HistoryRow] = []
    with pytest.raises(UnreadableHistoryError, match="can't be unpacked"):
        async for batch in HistorySandbox().read(path, "user-7", "UTC"):
            rows += batch.rows
    assert len(rows) == count
