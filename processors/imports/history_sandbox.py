"""A process for each history, with limits of time and memory: a hostile file can end its own reader only.

The process sends batches of rows through a pipe, as MessagePack of a bounded length, and waits while they are not read.
"""

import os
import signal
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import HistoryRow, ReadOptions, UnreadableHistoryError
from songline.processors.runtime.limited_reader import (
    LimitedReader,
    ProcessLimits,
    keep_limits,
    limited_reader,
    reader_context,
)
from songline.schemas.decoding import MsgpackDecoder

BATCH_ROWS = 250
MESSAGE_MAX_BYTES = 16 * 1024 * 1024
FILES_MAX = 64


class HistorySandboxLimits(Struct, frozen=True):
    """What one history may use: seconds without a batch, seconds of the processor, and bytes of address space."""

    silent_s: float = 60.0
    cpu_s: int = 300
    memory_bytes: int = 512 * 1024 * 1024


class HistoryReadFailedError(Exception):
    """The reader of a history ended without an answer, and that need not be the file's fault: it is tried again."""


class RowBatch(Struct, frozen=True, tag="rows"):
    """Rows of one format, in the order of the file."""

    format: str
    rows: list[HistoryRow]


class RefusedHistory(Struct, frozen=True, tag="refused"):
    """The file can't be read, or not further: why."""

    text: str


class HistoryEnd(Struct, frozen=True, tag="end"):
    """All was read."""


HistoryMessage: TypeAlias = RowBatch | RefusedHistory | HistoryEnd
_messages: MsgpackDecoder[HistoryMessage] = MsgpackDecoder(HistoryMessage, "not-a-message")


class HistorySandbox:
    """Reads histories, each in a process of its own."""

    def __init__(self, limits: HistorySandboxLimits | None = None) -> None:
        self._limits = limits or HistorySandboxLimits()
        self._context = reader_context(__name__)

    async def read(self, path: Path, user_id: str, timezone: str) -> AsyncIterator[RowBatch]:
        """The rows of the file at `path`. Raises UnreadableHistoryError and HistoryReadFailedError."""
        limits = self._limits
        async with limited_reader(self._context, _send_rows, str(path), user_id, timezone, limits) as reader:
            while True:
                data = await reader.receive(MESSAGE_MAX_BYTES, limits.silent_s)
                if not data:
                    raise await self._without_answer(reader, data)
                message = _messages.decode(data)
                if isinstance(message, RefusedHistory):
                    raise UnreadableHistoryError(message.text)
                if isinstance(message, HistoryEnd):
                    return
                yield message

    async def _without_answer(self, reader: LimitedReader, data: bytes | None) -> Exception:
        code = None if data is None else await reader.exit_code()
        if code is None:
            return HistoryReadFailedError(f"the reader of a history was silent for {self._limits.silent_s} s")
        if code == -signal.SIGXCPU:
            return UnreadableHistoryError(
                f"Reading it takes more than {self._limits.cpu_s} s of work: it is damaged, or made so. Import it in "
                "parts."
            )
        if code == _OUT_OF_MEMORY:
            return UnreadableHistoryError(
                f"Reading it takes more than {self._limits.memory_bytes // 1_000_000} MB of memory. Import it in parts."
            )
        return HistoryReadFailedError(f"the reader of a history ended with code {code}")


_OUT_OF_MEMORY = 77


def _send_rows(connection: Connection, path: str, user_id: str, timezone: str, limits: HistorySandboxLimits) -> None:
    """The child: limits first, and only then the file."""
    keep_limits(ProcessLimits(limits.cpu_s, limits.memory_bytes, FILES_MAX))
    try:
        end: HistoryMessage = HistoryEnd()
        try:
            _send_file(connection, path, ReadOptions(user_id, ZoneInfo(timezone)))
        except UnreadableHistoryError as refused:
            end = RefusedHistory(str(refused))
        connection.send_bytes(msgspec.msgpack.encode(end))
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    except BrokenPipeError:
        pass
    # Whatever the file has set up to happen when things are cleared away does not.
    os._exit(0)


def _send_file(connection: Connection, path: str, options: ReadOptions) -> None:
    rows: list[HistoryRow] = []
    last = ""
    with Path(path).open("rb") as file:
        try:
            for name, row in read_history(file, options):
                if rows and (name != last or len(rows) == BATCH_ROWS):
                    connection.send_bytes(msgspec.msgpack.encode(RowBatch(last, rows)))
                    rows = []
                last = name
                rows.append(row)
        finally:
            # What stands before the place where a file breaks is taken, however little it is.
            if rows:
                connection.send_bytes(msgspec.msgpack.encode(RowBatch(last, rows)))
