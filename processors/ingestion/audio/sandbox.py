"""A process for each probe, with limits of time and memory: a hostile file can end its own reader only.

Processes are forked from a clean server that has the parsers loaded, so that each costs milliseconds; what comes back
is JSON of bounded length and never a pickle, since the sender may be under the file's spell.
"""

import asyncio
import multiprocessing
import os
import resource
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio, probe
from songline.schemas.decoding import Decoder
from songline.schemas.ingestions import Reason

ANSWER_MAX = 64 * 1024
FILES_MAX = 32
ENDS_S = 30.0


class SandboxLimits(Struct, frozen=True):
    """What one probe may use: seconds on the clock and of the processor, and bytes of address space."""

    seconds: float = 60.0
    cpu_seconds: int = 10
    memory_bytes: int = 512 * 1024 * 1024


class ProbeFailedError(Exception):
    """A probe gave no answer, and that need not be the file's fault: it is tried again."""


Answer: TypeAlias = ProbedAudio | RefusedAudio
_answers: Decoder[Answer] = Decoder(Answer, "not-an-answer")


class Sandbox:
    """Runs probes, each in a process of its own; the caller limits how many run at a time."""

    def __init__(self, limits: SandboxLimits | None = None) -> None:
        self._limits = limits or SandboxLimits()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])

    async def probe(self, path: Path) -> Answer:
        """What the file at `path` holds; raises ProbeFailedError."""
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_answer, args=(theirs, str(path), self._limits), daemon=True)
        starting = asyncio.ensure_future(asyncio.to_thread(process.start))
        try:
            await asyncio.shield(starting)
            theirs.close()
            answer = await asyncio.to_thread(_read, ours, self._limits.seconds)
            if answer:
                return _answers.decode(answer)
            if answer is None or not await asyncio.to_thread(_ended, process):
                raise ProbeFailedError(f"the probe of {path.name} took more than {self._limits.seconds} s on the clock")
            if process.exitcode == -signal.SIGXCPU:
                text = (
                    f"Reading the file takes more than {self._limits.cpu_seconds} s of work: it is damaged, or made so."
                )
                return RefusedAudio(reason=Reason(cause="corrupt", text=text))
            raise ProbeFailedError(f"the probe of {path.name} ended with code {process.exitcode}")
        finally:
            # The thread starts it though the caller has gone.
            await asyncio.wait((starting,))
            theirs.close()
            if process.pid is not None:
                process.kill()
                await asyncio.shield(asyncio.to_thread(process.join))
                process.close()
            ours.close()


def _read(connection: Connection, seconds: float) -> bytes | None:
    """The answer; empty when the process ended without, None when there is none in time."""
    try:
        return connection.recv_bytes(ANSWER_MAX) if connection.poll(seconds) else None
    except EOFError:
        return b""


def _ended(process: "multiprocessing.process.BaseProcess") -> bool:
    # It has closed its pipe, as it ends; on a busy machine its server tells a while later.
    process.join(ENDS_S)
    return process.exitcode is not None


def _answer(connection: Connection, path: str, limits: SandboxLimits) -> None:
    """The child: limits first, and only then the file."""
    # Ctrl-C is meant for the worker, which ends its probes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    with Path(path).open("rb") as file:
        answer = msgspec.json.encode(probe(file))
    connection.send_bytes(answer)
    # Whatever the file has set up to happen when things are cleared away does not.
    os._exit(0)
