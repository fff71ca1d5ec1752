"""How far Capture is: whether the archive has every event up to an erasure's bounds, so that it can be rewritten."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from songline.cloud.extras import load
from songline.processors.runtime.resume_point import same_hub
from songline.schemas.channels import ARCHIVE_BLOBS

ARCHIVE_CONTAINER = "SONGLINE_ARCHIVE_CONTAINER"
EXTRA = "history"
"""The extra that brings what reads an archive."""


class CaptureProgress:
    """Compares the archive that `environ` names with the hub."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    async def behind(self, bounds: Mapping[str, int], created_at: datetime | None) -> str:
        """Which partition of the hub that was created at `created_at` the archive is behind in, as a sentence; empty
        for none.

        What the hub has deleted can't come into the archive any more, and is not waited for, nor what was in a hub that
        has been made anew since. Raises AzureError, EventHubError and MissingExtraError.
        """
        opening: Any = load("songline.processors.history.archive.opening", EXTRA)
        async with opening.open_history(self.environ) as history:
            if created_at is not None and not same_hub((await history.tail.describe()).created_at, created_at):
                return ""
            for partition, bound in sorted(bounds.items()):
                if bound < 0:
                    continue
                extent = await history.extent(partition)
                if extent.hub_last is None:
                    continue
                captured = extent.hub_last - extent.waiting
                if captured < bound:
                    return f"Capture is at {captured} of {bound} in partition {partition}"
        return ""

    def partition_of(self, path: str) -> str | None:
        """The partition of `music-events` that a file of the archive is of, None for a file of something else. Raises
        SettingError and MissingExtraError."""
        opening: Any = load("songline.processors.history.archive.opening", EXTRA)
        partition: str | None = opening.partition_of(self.environ, path)
        return partition

    @property
    def container(self) -> str:
        """The blob container of the archive."""
        return self.environ.get(ARCHIVE_CONTAINER) or ARCHIVE_BLOBS
