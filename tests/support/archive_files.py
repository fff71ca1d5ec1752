"""An archive in memory: what `BlobFiles` is over a container."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

from songline.processors.history.archive.blob_files import ArchiveFile
from songline.processors.history.archive.capture_records import Records
from songline.processors.history.archive.hub_tail import HubTail
from songline.processors.history.archive.name_format import NameFormat
from songline.processors.history.index.manifest import Manifest, decode_manifest, encode_manifest
from songline.processors.runtime.hub_metadata import HubDescription
from songline.processors.runtime.resume_point import HubState

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

    def forget_listing(self) -> None:
        pass

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        if etag not in (None, str(hash(self.files[path]))):
            raise ResourceModifiedError
        return self.files[path][start : start + size]

    def download(self, path: str) -> MemoryDownload:
        self.downloads.append(path)
        return MemoryDownload(self.files[path], self._piece_bytes)


class MemoryTail(HubTail):
    """A hub in memory with one partition: `events` are seconds and bodies from position 0 on, of which retention has
    deleted those before `first`. `readings` counts the readings."""

    def __init__(self, events: Sequence[tuple[int, bytes]], first: int = 0) -> None:
        self.readings = 0
        self._events = events
        self._first = first

    async def describe(self) -> HubDescription:
        return HubDescription(datetime.fromtimestamp(0, UTC), frozenset({"0"}))

    async def read_state(self, partition: str) -> HubState | None:
        return HubState((await self.describe()).created_at, self._first, len(self._events) - 1)

    async def read(self, partition: str, first: int, last: int) -> AsyncGenerator[Records | int]:
        self.readings += 1
        assert self._first <= first
        for start in range(first, last + 1, 10):
            some = range(start, min(start + 10, last + 1))
            yield Records(list(some), [self._events[at][0] for at in some], [self._events[at][1] for at in some])


class MemoryIndex:
    """What `IndexBlobs` is over a container. `others_write` is called before each write of a manifest."""

    def __init__(self) -> None:
        self.manifests: dict[str, tuple[Manifest, str]] = {}
        self.segments: dict[str, bytes] = {}
        self.others_write: Callable[[], None] = lambda: None
        self._writes = 0

    async def read_manifest(self, partition: str) -> tuple[Manifest, str] | None:
        found = self.manifests.get(partition)
        return None if found is None else (decode_manifest(encode_manifest(found[0])), found[1])

    async def write_manifest(self, partition: str, manifest: Manifest, etag: str | None) -> str | None:
        self.others_write()
        if etag is not None and (partition not in self.manifests or self.manifests[partition][1] != etag):
            return None
        self._writes += 1
        self.manifests[partition] = manifest, str(self._writes)
        return str(self._writes)

    async def write_segment(self, name: str, data: bytes) -> None:
        self.segments[name] = data

    async def read_segment(self, name: str, start: int, size: int) -> bytes:
        if name not in self.segments:
            raise ResourceNotFoundError
        return self.segments[name][start : start + size]

    async def delete_segments(self, names: Sequence[str]) -> None:
        for name in names:
            self.segments.pop(name, None)

    async def drop(self) -> None:
        self.manifests.clear()
        self.segments.clear()
