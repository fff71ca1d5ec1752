"""An archive in memory: what `BlobFiles` is over a container."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

from songline.processors.history.archive.blob_files import ArchiveFile
from songline.processors.history.archive.name_format import NameFormat

NAMES = NameFormat.default("music-events")
_START = datetime(2025, 11, 22, tzinfo=UTC)


class MemoryDownload:
    """A file that comes in pieces of `size` bytes."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    async def pieces(self) -> AsyncIterator[bytes | None]:
        for start in range(0, len(self._data), self._size):
            yield self._data[start : start + self._size]

    async def close(self) -> None:
        pass


class MemoryFiles:
    """Files by path; `downloads` counts those that were begun. `before_list` is called before each listing."""

    def __init__(self, piece_bytes: int = 10_000) -> None:
        self.files: dict[str, bytes] = {}
        self.downloads: list[str] = []
        self.before_list: Callable[[], None] = lambda: None
        self._piece_bytes = piece_bytes

    def add(self, data: bytes, minute: int, partition: str = "0") -> str:
        """Add a file, which its name puts at a minute; return its path."""
        path = NAMES.path("ns", "music-events", partition, _START + timedelta(minutes=minute))
        self.files[path] = data
        return path

    async def list(self) -> list[ArchiveFile] | None:
        self.before_list()
        found = []
        for path, data in self.files.items():
            name = NAMES.parse(path)
            assert name is not None
            found.append(ArchiveFile(path, name, len(data), str(hash(data))))
        return sorted(found, key=lambda file: (file.name, file.path))

    async def read_part(self, path: str, start: int, size: int) -> bytes:
        return self.files[path][start : start + size]

    def download(self, path: str) -> MemoryDownload:
        self.downloads.append(path)
        return MemoryDownload(self.files[path], self._piece_bytes)
