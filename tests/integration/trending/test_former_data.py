"""What the cells of commit 64129bc saved is known to the cells of today."""

from pathlib import Path

from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.cells.validation import cell_key, check_cell, check_chunk
from songline.processors.trending.cells.wire import decode
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.schemas.moments import milliseconds
from tests.integration.trending.test_sealing import records
from tests.support.former_data import APPLIED, MADE_AT, former_cloud
from tests.support.trending import KEY
from tests.support.worker import read_hub


async def test_actions_that_the_former_version_saved_are_not_counted_again(tmp_path: Path) -> None:
    cloud, now_ms = former_cloud(tmp_path).start(), milliseconds(MADE_AT)
    try:
        saved = [(key, value) async for key, value in records(cloud.settings()) if value is not None]
        log = await read_hub(cloud.settings())
    finally:
        cloud.stop()
    chunks = 0
    for number in range(4):
        source = SourcePartition(number, "me", 1, SongIndex(1), RegionIndex(), UserHashes(), KEY, -1)
        bodies = [body for one, at, body in sorted(log) if one == number and at <= APPLIED[str(number)]]
        source.apply(Batch(0, len(bodies), range(len(bodies)), [now_ms] * len(bodies), bodies))
        for hour in source.cells.missing():
            cell = source.cells.new_cell(hour)
            for key, value in saved:
                if key.startswith(b"%d/%d/" % (number, hour)):
                    check_cell(key, value, number)
                    assert cell_key(key, number)[1] == str(hour)
                    cell.restore([check_chunk(value, KEY.id)])
                    chunks += 1
            source.cells.add(cell)
        flush = source.flush(now_ms)
        hours = {hour for key in flush.chunks for hour in [int(key.split("/")[1])]}
        # The former version had deleted what no window shows.
        assert all(hour < now_ms // 3_600_000 - 168 for hour in hours)
        assert decode(flush.partials[-1][1]).position == len(bodies) - 1
    assert chunks
