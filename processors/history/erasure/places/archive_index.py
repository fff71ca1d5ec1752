"""What is made from the archive and kept beside it: the index, and songs' events by file. It can be made anew."""

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from songline.processors.history.erasure.job import ErasureJob, StepResult
from songline.processors.history.erasure.places.captured_files import RENAMED


class ArchiveIndexBlobs:
    """The blob container `archive-index`, which is emptied where the archive had anything of the listener."""

    name = "index"

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def run(self, job: ErasureJob) -> StepResult:
        """Delete what was made from files as they were before."""
        archive = job.erasure.step("archive")
        if archive is None or not archive.counts.get(RENAMED):
            return StepResult({})
        count = 0
        try:
            names = [blob.name async for blob in self._container.list_blobs()]
        except ResourceNotFoundError:
            return StepResult({})
        for name in names:
            try:
                await self._container.delete_blob(name)
            except ResourceNotFoundError:
                continue
            count += 1
        return StepResult({"index blobs": count})
