"""Sends events that the user wrote, and counts what is sent and what is refused."""

import asyncio
import os
import stat
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from shlex import quote
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from songline.api_client import visible
from songline.cloud.concurrency import end_task
from songline.cloud.settings import EventHubsSettings
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.producers.publishing.ndjson import EventLine, LineSplitter
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.publishing.state import Outcome
from songline.schemas.acceptance import MAX_EVENT_BYTES, accepted, refuse
from songline.schemas.envelope import Event
from songline.schemas.errors import ContractViolationError
from songline.sending.exits import CommandError, ExitCode
from songline.sending.file_kind import unfit
from songline.sending.streams import chunks

ENOUGH = 4_096
STDIN = "standard input"
SHOWN = 100
"""The number of refused lines that are shown; the others are counted by kind."""
KINDS = 10
_CLOSE_S = 5.0
_SHOWN_EVERY_S = 0.2
_COUNTED_EVERY_S = 5.0


def judge(head: bytes, name: str) -> None:
    """Raise CommandError if the file `name` that begins with `head` is no NDJSON."""
    if (why := unfit(head, name, "FILE" if name == STDIN else quote(visible(name)))) is not None:
        raise CommandError(why, ExitCode.USAGE)


class Submission:
    """Sends events that come as lines. A refused line is reported and skipped; the others are sent.

    `sent` and `refused` are counts. `failure` is the error that ended the submission early, if there was one.
    """

    def __init__(self, console: Console) -> None:
        self.sent = self.refused = self._read = 0
        self.failure: BaseException | None = None
        self._unshown: Counter[tuple[str, str]] = Counter()
        self._console = console
        self._begun = monotonic()

    async def send_file(self, settings: EventHubsSettings, descriptor: int, patience_s: float, name: str) -> None:
        """Send the lines of a file or a pipe; raises OSError if it can't be read, CommandError if it is no NDJSON."""
        status = os.fstat(descriptor)
        total = status.st_size if stat.S_ISREG(status.st_mode) else None
        source = chunks(descriptor)
        head = b""
        # A pipe may deliver single bytes. The kind of file is checked before the first connection to the hub, and the
        # first line is enough for that.
        async for chunk in source:
            head += chunk
            if len(head) >= ENOUGH or b"\n" in head:
                break
        judge(head, name)
        await self._send(settings, self._lines(head, source), total, patience_s)

    async def send_one(self, settings: EventHubsSettings, body: bytes, patience_s: float) -> None:
        """Send one event."""

        async def alone() -> AsyncIterator[EventLine]:
            yield EventLine(0, body, len(body))

        await self._send(settings, alone(), len(body), patience_s)

    def rest(self) -> list[str]:
        """The refused lines that were not shown: a line for each kind of fault with its count, most frequent first."""
        lines = [
            f"{count:,} more: {visible(field)}: expected {visible(rule)}"
            for (field, rule), count in self._unshown.most_common(KINDS)
        ]
        left = len(self._unshown) - KINDS
        return [*lines, f"and {left:,} other kinds of faults"] if left > 0 else lines

    def summary(self) -> str:
        """The counts and the time so far, in one line."""
        seconds = monotonic() - self._begun
        refused = f", {self.refused:,} refused" if self.refused else ""
        return f"{self.sent:,} sent{refused}, in {seconds:.1f} s"

    async def _send(
        self, settings: EventHubsSettings, lines: AsyncIterator[EventLine], total: int | None, patience_s: float
    ) -> None:
        watch = asyncio.create_task(self._watch(total))
        try:
            async with EventPublisher(settings, patience_s=patience_s) as publisher:
                try:
                    await self._submit(publisher, lines)
                except asyncio.CancelledError:
                    await publisher.close(_CLOSE_S)
                    raise
        except (TransientError, AccessDeniedError) as error:
            self.failure = self.failure or error
        finally:
            await end_task(watch)

    async def _submit(self, publisher: EventPublisher, lines: AsyncIterator[EventLine]) -> None:
        async for line in lines:
            if self.failure is not None:
                return
            try:
                event, body = _accepted(line)
            except ContractViolationError as refused:
                self._report(line, refused)
                continue
            done = await publisher.submit(body, event.partition_key)
            done.add_done_callback(self._record)

    def _record(self, done: asyncio.Future[Outcome]) -> None:
        if (failure := done.exception()) is None:
            self.sent += 1
        else:
            self.failure = self.failure or failure

    def _report(self, line: EventLine, refused: ContractViolationError) -> None:
        self.refused += 1
        if self.refused > SHOWN:
            self._unshown[refused.violation.field, refused.violation.rule] += 1
            if self.refused == SHOWN + 1:
                self._console.print("Further refused lines are counted, and summed up at the end.", highlight=False)
            return
        where = f"line {line.number}: " if line.number else ""
        # The seen value may hold control characters.
        self._console.print(where + visible(str(refused)), markup=False, highlight=False, emoji=False, soft_wrap=True)

    async def _lines(self, head: bytes, source: AsyncIterator[bytes]) -> AsyncIterator[EventLine]:
        lines = LineSplitter()
        for line in lines.feed(head):
            yield line
        self._read += len(head)
        async for chunk in source:
            for line in lines.feed(chunk):
                yield line
            self._read += len(chunk)
        for line in lines.end():
            yield line

    async def _watch(self, total: int | None) -> None:
        """Show a progress bar on a terminal (of bytes read, if the size is known); elsewhere a line every 5 s."""
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(_COUNTED_EVERY_S)
                self._console.print(self.summary(), highlight=False)
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("connecting", total=total)
            while True:
                await asyncio.sleep(_SHOWN_EVERY_S)
                progress.update(task, description=self.summary(), completed=self._read)


def _accepted(line: EventLine) -> tuple[Event, bytes]:
    """The event in a line and the bytes to send, with normalized texts; raises ContractViolationError."""
    if line.body is None:
        raise refuse("event", f"{line.size} bytes", f"at most {MAX_EVENT_BYTES} bytes")
    return accepted(line.body, datetime.now(UTC))
