"""What moments of the past read of a History: where its files are, and the events."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from msgspec import Struct


class EventColumns(Struct, frozen=True):
    """Events of one partition in order, as ArchivedBatch has them."""

    positions: list[int]
    enqueued_s: list[int]
    bodies: list[bytes]


class EventsRead(Protocol):
    """An ArchivedBatch, or EventColumns."""

    @property
    def positions(self) -> list[int]: ...
    @property
    def enqueued_s(self) -> list[int]: ...
    @property
    def bodies(self) -> list[bytes]: ...


class FileSpan(Struct, frozen=True):
    """A file with events: its path and the version of its content, its lasting positions and seconds."""

    path: str
    etag: str
    first: int
    last: int
    first_s: int
    last_s: int


class FirstEvent(Struct, frozen=True):
    """The first event that there still is of a partition: its lasting position, and the second at which the hub took
    it."""

    position: int
    second: int


class ReadableHistory(Protocol):
    """The history of a hub."""

    async def partitions(self) -> list[str]: ...

    async def spans(self, partition: str) -> Sequence[FileSpan]:
        """The files of a partition that have events, by their first position."""

    async def first_event(self, partition: str) -> FirstEvent | None:
        """The first event that the archive or the hub has, whatever is missing before it."""

    def read(self, partition: str, after: int = -1, until_s: int | None = None) -> AsyncGenerator[EventsRead, None]: ...
