"""Snapshots that a rebuild writes together are stored, also where they are too large for one request."""

from datetime import timedelta
from uuid import uuid4

import pytest
from msgspec import structs

from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.processors.history.charts.chart_documents import BATCH, ChartDocuments
from songline.processors.trending.containers import CHARTS_CONTAINER
from songline.schemas.channels import DATABASE
from songline.schemas.documents import CHART_SIZE, GLOBAL, Chart, ChartEntry, chart_key, snapshot_id
from songline.schemas.moments import moment_at
from tests.support.localcloud import LocalCloud

LONGEST_TITLE = "\u6b4c" * 300
KEY = chart_key("top", "1h", GLOBAL)


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_charts_of_long_titles_are_written_one_by_one(shared_localcloud: LocalCloud) -> None:
    entries = [
        ChartEntry(
            rank=rank,
            song_id=f"song-{rank}",
            title=LONGEST_TITLE,
            artist=LONGEST_TITLE,
            genre=None,
            listens=1,
            likes=0,
            score=1.0,
            previous_rank=None,
        )
        for rank in range(1, CHART_SIZE + 1)
    ]
    moments = [moment_at(0) + timedelta(hours=hour) for hour in range(BATCH)]
    place = structs.replace(CHARTS_CONTAINER, name=f"charts-{uuid4().hex}")
    async with cosmos.client(read_cosmos(shared_localcloud.environment)) as account:
        await cosmos.ensure(account, DATABASE, (place,))
        container = cosmos.container(account, DATABASE, place.name)
        documents = ChartDocuments(container)
        for moment in moments:
            chart = Chart(
                kind="top",
                window="1h",
                scope=GLOBAL,
                policy="v1",
                as_of=moment,
                complete_through=moment,
                position={},
                entries=entries,
            )
            documents.hold_snapshots({KEY: chart})
        await documents.flush()
        stored = {item["id"] async for item in container.query_items("SELECT c.id FROM c", partition_key=KEY)}
        assert stored == {snapshot_id(moment) for moment in moments}
        await account.get_database_client(DATABASE).delete_container(place.name)
