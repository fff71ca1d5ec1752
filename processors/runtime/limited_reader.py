"""A process that reads one file of a stranger, with limits of time and memory: a hostile file can end its own reader
only.

Processes are forked from a clean server. What comes back is bytes of bounded length and never a pickle, since the
sender may be under the file's spell.
"""

import asyncio
import multiprocessing
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

from msgspec import Struct

ENDS_S = 30.0
"""Seconds that a process has to end after it has closed its pipe: on a busy machine its server tells a while later."""


_preloaded: dict[str, None] = {}


def reader_context(module: str) -> ForkServerContext:
    """What starts processes whose targets are in `module`: they begin with it loaded, so that each costs milliseconds.

    A process has one server. It loads the modules that were named before its first reader.
    """
    context = multiprocessing.get_context("forkserver")
    _preloaded[module] = None
    context.set_forkserver_preload(list(_preloaded))
    return context


class ProcessLimits(Struct, frozen=True):
    """What a process may use: seconds of the processor, bytes of address space, and open files."""

    cpu_s: int
    memory_bytes: int
    files: int


class LimitedReader:
    """The process, and the end of its pipe that it sends to."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self._process = process
        self._connection = connection

    async def receive(self, max_bytes: int, seconds: float) -> bytes | None:
        """The next message; empty when the process ended without, None when there is none in time."""
        return await asyncio.to_thread(self._receive, max_bytes, seconds)

    async def exit_code(self) -> int | None:
        """How the process ended, None where it does not end."""
        await asyncio.to_thread(self._process.join, ENDS_S)
        return self._process.exitcode

    def _receive(self, max_bytes: int, seconds: float) -> bytes | None:
        try:
            return self._connection.recv_bytes(max_bytes) if self._connection.poll(seconds) else None
        except EOFError:
            return b""


@asynccontextmanager
async def limited_reader(
    context: ForkServerContext, target: Callable[..., None], *arguments: Any
) -> AsyncIterator[LimitedReader]:
    """A process that runs `target` with the end of a pipe to send to, and `arguments`. It is ended with the block.

    The target calls `keep_limits` before it opens the file.
    """
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    starting = asyncio.ensure_future(asyncio.to_thread(process.start))
    try:
        await asyncio.shield(starting)
        theirs.close()
        yield LimitedReader(process, ours)
    finally:
        # The thread starts it though the caller has gone.
        await asyncio.wait((starting,))
        theirs.close()
        if process.pid is not None:
            process.kill()
            await asyncio.shield(asyncio.to_thread(process.join))
            process.close()
        ours.close()


def keep_limits(limits: ProcessLimits) -> None:
    """Let this process use no more than that, write no file, and leave Ctrl-C to the worker, which ends it itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.files, limits.files))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
