"""The events of a partition's files in the order of their positions, each once, with files downloaded ahead."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from songline.processors.history.archive.blob_files import FileBytes
from songline.processors.history.archive.capture_records import Records
from songline.processors.history.archive.errors import Damage
from songline.processors.history.archive.file_blocks import FileBlocks
from songline.processors.history.archive.generations import PlacedFile
from songline.schemas.progress import lasting_position

AHEAD_FILES = 3
"""Files that are downloaded while one is read: each keeps a few pieces at most."""


class FileMerge:
    """Merges `files`, which are in the order of their first positions. Close it.

    `download` begins to download a file; `on_damage` is called with what can't be read, and may raise.
    """

    def __init__(
        self,
        files: Sequence[PlacedFile],
        download: Callable[[str], FileBytes],
        on_damage: Callable[[Damage], None],
    ) -> None:
        self._pending = deque(files)
        self._download = download
        self._on_damage = on_damage
        self._ahead: dict[str, FileBytes] = {}
        self._open: list[_FileStream] = []

    async def read(self, expected: int) -> Records | int | None:
        """The events from the lasting position `expected` on; or the position of the next event that there is, where
        `expected` is missing; None where there is none. Raises AzureError and what `on_damage` raises."""
        while True:
            self._open.sort(key=_head_of)
            if self._pending and (not self._open or self._pending[0].first <= _head_of(self._open[0])):
                await self._open_next(expected)
                continue
            if not self._open:
                return None
            stream = self._open[0]
            head = stream.head
            if head is None:
                self._open.remove(stream)
                await stream.close()
                continue
            if not len(head):
                await stream.advance()
                continue
            start = bisect_left(head.positions, expected)
            if start == len(head):
                await stream.advance()
            elif start:
                stream.head = head.cut(start)
            elif head.positions[0] == expected:
                stop = _run(head.positions)
                stream.head = head.cut(stop)
                return head if stop == len(head) else head.cut(0, stop)
            elif not await self._gather():
                return head.positions[0]

    async def close(self) -> None:
        """Stop all downloads."""
        for stream in self._open:
            await stream.close()
        for download in self._ahead.values():
            await download.close()

    async def _open_next(self, expected: int) -> None:
        placed = self._pending.popleft()
        path = placed.file.path
        download = self._ahead.pop(path, None)
        if placed.last + (placed.damage is not None) < expected:
            if download is not None:
                await download.close()
            return
        stream = _FileStream(placed, download or self._download(path), self._on_damage)
        self._open.append(stream)
        for later in list(self._pending)[: AHEAD_FILES - len(self._ahead)]:
            if later.file.path not in self._ahead and later.last >= expected:
                self._ahead[later.file.path] = self._download(later.file.path)
        await stream.advance()

    async def _gather(self) -> bool:
        """Read the open files to their ends; whether that found something. Files of others may be out of order."""
        found = [await stream.gather() for stream in self._open]
        return any(found)


class _FileStream:
    """A file that is read. `head` has its next records, by rising lasting position; None at its end."""

    def __init__(self, placed: PlacedFile, download: FileBytes, on_damage: Callable[[Damage], None]) -> None:
        self.head: Records | None = None
        self._path = placed.file.path
        self._base = lasting_position(placed.generation, 0)
        self._on_damage = on_damage
        self._blocks = FileBlocks(self._path)
        self._download = download
        self._pieces = download.pieces()
        self._found: Iterator[Records | Damage] = iter(())
        self._ended = False

    async def advance(self) -> None:
        """Read the next records into `head`. Raises AzureError and what `on_damage` raises."""
        while True:
            for found in self._found:
                if isinstance(found, Damage):
                    self._on_damage(found)
                elif len(found):
                    self.head = _in_order(found, self._base)
                    return
            if self._ended:
                self.head = None
                return
            try:
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                self._ended = True
                self._found = self._blocks.end()
                continue
            if piece is None:
                # What was read of the former content is found again, and is passed over by its positions.
                self._blocks = FileBlocks(self._path)
                self._found = iter(())
            else:
                self._found = self._blocks.feed(piece)

    async def gather(self) -> bool:
        """Read to the end of the file into `head`; whether there was more."""
        parts = [] if self.head is None else [self.head]
        before = len(parts)
        while True:
            await self.advance()
            if self.head is None:
                break
            parts.append(self.head)
        if parts:
            self.head = _in_order(
                Records(
                    [position for part in parts for position in part.positions],
                    [second for part in parts for second in part.enqueued_s],
                    [body for part in parts for body in part.bodies],
                ),
                0,
            )
        return len(parts) > before

    async def close(self) -> None:
        await self._download.close()


def _head_of(stream: _FileStream) -> int:
    return -1 if stream.head is None or not len(stream.head) else stream.head.positions[0]


def _run(positions: list[int]) -> int:
    """How many of `positions`, which rise, follow each other from the first on."""
    if positions[-1] - positions[0] == len(positions) - 1:
        return len(positions)
    return next(place for place, position in enumerate(positions) if position != positions[0] + place)


def _in_order(records: Records, base: int) -> Records:
    """The records by rising position, each once, with `base` added to their positions."""
    positions = records.positions
    first = positions[0]
    if positions == list(range(first, first + len(positions))):
        return records if not base else Records([at + base for at in positions], records.enqueued_s, records.bodies)
    places = {position: place for place, position in reversed(list(enumerate(positions)))}
    order = [places[position] for position in sorted(places)]
    return Records(
        [positions[place] + base for place in order],
        [records.enqueued_s[place] for place in order],
        [records.bodies[place] for place in order],
    )
