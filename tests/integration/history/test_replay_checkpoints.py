"""Checkpoints of a replay, by a rebuild that was stopped while another one went on in its place."""

import pytest

from songline.processors.history.charts.checkpoints import StoredCheckpoints
from songline.processors.history.versions.version_store import VersionOvertakenError
from songline.schemas.channels import ARCHIVE_INDEX_BLOBS
from tests.support.ingestion import App


async def test_a_checkpoint_of_another_rebuild_is_not_written_over(app: App) -> None:
    """All that came behind it fits that one alone."""
    stored = StoredCheckpoints(app.blobs.get_container_client(ARCHIVE_INDEX_BLOBS), "rebuilds/charts-v7/")
    await stored.write(0, b"first")
    await stored.write(0, b"first")
    with pytest.raises(VersionOvertakenError, match="rebuilds/charts-v7/0000000000 was written by another rebuild"):
        await stored.write(0, b"late")
    assert await stored.read(0) == b"first"
    assert await stored.numbers() == [0]
