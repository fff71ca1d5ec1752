"""A process for each probe, with limits of time and memory: a hostile file can end its own reader only.

Their server has the parsers loaded, so that each costs milliseconds; what comes back is JSON.
"""

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio, probe
from songline.processors.runtime.limited_reader import ProcessLimits, keep_limits, limited_reader, reader_context
from songline.schemas.decoding import Decoder
from songline.schemas.ingestions import Reason

ANSWER_MAX = 64 * 1024
FILES_MAX = 32


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
        self._context = reader_context(__name__)

    async def probe(self, path: Path) -> Answer:
        """What the file at `path` holds; raises ProbeFailedError."""
        limits = self._limits
        async with limited_reader(self._context, _answer, str(path), limits) as reader:
            answer = await reader.receive(ANSWER_MAX, limits.seconds)
            if answer:
                return _answers.decode(answer)
            code = None if answer is None else await reader.exit_code()
        if code is None:
            raise ProbeFailedError(f"the probe of {path.name} took more than {limits.seconds} s on the clock")
        if code == -signal.SIGXCPU:
            text = f"Reading the file takes more than {limits.cpu_seconds} s of work: it is damaged, or made so."
            return RefusedAudio(reason=Reason(cause="corrupt", text=text))
        raise ProbeFailedError(f"the probe of {path.name} ended with code {code}")


def _answer(connection: Connection, path: str, limits: SandboxLimits) -> None:
    """The child: limits first, and only then the file."""
    keep_limits(ProcessLimits(limits.cpu_seconds, limits.memory_bytes, FILES_MAX))
    with Path(path).open("rb") as file:
        answer = msgspec.json.encode(probe(file))
    connection.send_bytes(answer)
    # Whatever the file has set up to happen when things are cleared away does not.
    os._exit(0)
