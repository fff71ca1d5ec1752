"""Carries out imports and takes them back. Each step may be the last before a crash, and each may be repeated."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path

from msgspec import Struct

from songline.cloud.http_transport import Guard, unasked
from songline.processors.imports.history_sandbox import HistorySandbox, RowBatch
from songline.processors.imports.import_batch import ImportedBatch, imported_batch, song_ids_in, worded, words_of
from songline.processors.imports.import_store import ImportStore, StoredImport, moved
from songline.processors.imports.import_tally import ImportTally
from songline.processors.imports.import_turn import HeldTurn, ImportTurns, TurnLostError
from songline.processors.imports.known_listens import KnownListens, TakenListen, packed
from songline.processors.imports.listen_sender import ListenSender
from songline.processors.imports.postponing import CommandPostponer
from songline.processors.imports.rows import HistoryListen, HistoryRow, UnreadableHistoryError
from songline.processors.imports.song_resolution import SongResolution
from songline.processors.imports.staged_history import StagedHistories
from songline.schemas.commands import Command, ImportHistory, UndoImport, derived_id
from songline.schemas.envelope import Event
from songline.schemas.events import ImportUndone
from songline.schemas.imports import ENDED, TAKEN_BACK, HistoryImport, ImportState, ListenPage
from songline.schemas.resolver import SongMatch, SongWords
from songline.schemas.song_names import is_name_id

logger = logging.getLogger("ingestion.imports")

SOURCE = "/processors/imports"
PAGE_LISTENS = 2_500
REPORT_S = 0.5


class ImportPace(Struct, frozen=True):
    """How fast listens are published: `per_second` at most, so that what listeners do now is not behind them; and how
    many imports a worker reads `at_once`, so that songs have lanes too."""

    per_second: float = 2_000.0
    at_once: int = 2


class _StoppedError(Exception):
    """The listener stopped the import, or took it back."""


class ImportRunner:
    """Carries out the commands of imports. `now` returns aware times, `steady` monotonic seconds. Files are in `folder`
    while they are read; `resolution` makes a SongResolution for each import."""

    def __init__(
        self,
        store: ImportStore,
        turns: ImportTurns,
        later: CommandPostponer,
        files: StagedHistories,
        sender: ListenSender,
        resolution: Callable[[], SongResolution],
        folder: Path,
        now: Callable[[], datetime],
        sandbox: HistorySandbox | None = None,
        pace: ImportPace | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._turns = turns
        self._later = later
        self._files = files
        self._sender = sender
        self._resolution = resolution
        self._reading: set[str] = set()
        self._folder = folder
        self._now = now
        self._sandbox = sandbox or HistorySandbox()
        self._pace = pace or ImportPace()
        self._steady = steady

    async def carry_out(self, command: Command, check: Guard = unasked) -> None:
        """Carry out a command of an import. `check` raises where another worker may have the command. Raises the SDKs'
        errors."""
        logger.info("%s %s %s", command.type, command.id, await self._carried_out(command, check))

    async def _carried_out(self, command: Command, check: Guard) -> str:
        """What became of the import, in words."""
        stored = await self._store.read(command.data.user_id, command.id)
        if isinstance(command.data, UndoImport):
            return await self._undo(command, stored, check)
        assert isinstance(command.data, ImportHistory)
        order = command.data
        if (
            stored is None
            or (stored.found.run, stored.found.blob) != (order.run, order.upload.blob)
            or stored.found.state in ENDED + TAKEN_BACK
        ):
            # The listener was erased, and may have begun anew, the command is an older one, or a crash came after the
            # end.
            await self._files.delete(order.upload.blob)
            return "is over" if stored is not None else "is gone"
        is_full = len(self._reading) >= self._pace.at_once or command.id in self._reading
        turn = None if is_full else await self._turns.take(order.user_id, command.id)
        if turn is None:
            await self._later.postpone(command)
            return "waits for its turn"
        self._reading.add(command.id)
        try:
            return await self._import(stored, turn, command.id, order)
        except TurnLostError as lost:
            return f"is left as it is: {lost}"
        finally:
            self._reading.discard(command.id)
            await turn.give_back()

    async def give_up(self, command: Command, text: str) -> None:
        """Record that a command becomes a dead letter because of `text`, and delete its file."""
        stored = await self._store.read(command.data.user_id, command.id)
        if isinstance(command.data, ImportHistory):
            if stored is not None and stored.found.run == command.data.run:
                await self._store.change(stored, partial(self._ended, command.data.run, "failed", None, text))
            await self._files.delete(command.data.upload.blob)

    async def _undo(self, command: Command, stored: StoredImport | None, check: Guard) -> str:
        if stored is None:
            return "is gone"
        undone = Event(
            id=derived_id("import-undone", command.data.user_id, command.id),
            source=SOURCE,
            time=command.time,
            data=ImportUndone(user_id=command.data.user_id, import_id=command.id),
        )
        # The listener may have been erased since, and have sent the same file again: it is an import of the same id.
        await self._sender.publish(command.data.user_id, [undone], check)
        await check()
        await self._store.drop_pages(command.data.user_id, command.id)
        await self._files.delete(stored.found.blob)
        await self._store.change(stored, self._undone)
        return "is taken back"

    async def _import(self, stored: StoredImport, turn: HeldTurn, import_id: str, order: ImportHistory) -> str:
        stored = await self._store.change(stored, partial(self._begun, order.run))
        tally = ImportTally()
        state: ImportState = "done"
        reason: str | None = None
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "history"
            try:
                await self._files.fetch(order.upload, path)
                await self._take(stored, turn, import_id, order, path, tally)
            except UnreadableHistoryError as refused:
                state, reason = "refused", str(refused)
            except _StoppedError:
                state = "stopped"
        await turn.check()
        await self._files.delete(order.upload.blob)
        newest = await self._store.read(order.user_id, import_id)
        if newest is not None:
            newest = await self._store.change(newest, partial(self._ended, order.run, state, tally, reason))
            if newest.found.state in TAKEN_BACK:
                await self._store.drop_pages(order.user_id, import_id)
        return state if reason is None else f"{state}: {reason}"

    async def _take(
        self,
        stored: StoredImport,
        turn: HeldTurn,
        import_id: str,
        order: ImportHistory,
        path: Path,
        tally: ImportTally,
    ) -> None:
        if not _is_running(order.run, stored.found):
            raise _StoppedError
        known, number = await self._known(order.user_id, import_id, order.run)
        resolution = self._resolution()
        pages = _Pages(turn, order, import_id, number)
        reported_s = began_s = self._steady()
        sent = 0
        try:
            async for batch in self._sandbox.read(path, order.user_id, order.timezone):
                found = await self._batch(batch, import_id, order, resolution, known, tally)
                await turn.check()
                if not order.dry_run:
                    await resolution.keep_names(found.names)
                    if found.events:
                        await self._sender.publish(order.user_id, found.events, turn.check)
                    sent += len(found.events)
                    await pages.add(found.taken)
                    await self._keep_pace(began_s, sent)
                if self._steady() - reported_s >= REPORT_S:
                    reported_s = self._steady()
                    stored = await self._store.change(stored, partial(self._progressed, order.run, tally))
                    if not _is_running(order.run, stored.found):
                        raise _StoppedError
        except (UnreadableHistoryError, _StoppedError):
            await pages.flush()
            raise
        await pages.flush()

    async def _batch(
        self,
        batch: RowBatch,
        import_id: str,
        order: ImportHistory,
        resolution: SongResolution,
        known: KnownListens,
        tally: ImportTally,
    ) -> ImportedBatch:
        songs = await resolution.words_of(ids) if (ids := song_ids_in(batch.rows)) else {}
        rows: list[HistoryRow] = [worded(row, songs) if isinstance(row, HistoryListen) else row for row in batch.rows]
        asked = [words_of(row) for row in rows if isinstance(row, HistoryListen) and row.song_id is None]
        resolved = await resolution.resolve(asked) if asked else {}
        return imported_batch(
            order.user_id, import_id, batch.format, rows, partial(_match, resolved), known, tally, self._now()
        )

    async def _known(self, user_id: str, import_id: str, run: int) -> tuple[KnownListens, int]:
        """What the listener's imports have taken, and the number of this import's next page."""
        known, following = KnownListens(), 0
        async for page in self._store.pages(user_id):
            is_own = page.import_id == import_id
            known.add_page(page.listens, is_own=is_own, is_this_run=page.run == run)
            if is_own:
                following = max(following, page.number + 1)
        return known, following

    async def _keep_pace(self, began_s: float, sent: int) -> None:
        ahead_s = began_s + sent / self._pace.per_second - self._steady()
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)

    def _undone(self, found: HistoryImport) -> HistoryImport:
        return moved(found, self._now(), state="undone", blob=None) if found.state in TAKEN_BACK else found

    def _begun(self, run: int, found: HistoryImport) -> HistoryImport:
        return moved(found, self._now(), state="running") if (found.run, found.state) == (run, "queued") else found

    def _progressed(self, run: int, tally: ImportTally, found: HistoryImport) -> HistoryImport:
        return moved(found, self._now(), counts=tally.counts) if _is_running(run, found) else found

    def _ended(
        self, run: int, state: ImportState, tally: ImportTally | None, reason: str | None, found: HistoryImport
    ) -> HistoryImport:
        if found.run != run or found.state in TAKEN_BACK:
            # Its listener has sent the file again meanwhile, or taken it back.
            return found
        counts = found.counts if tally is None else tally.counts
        return moved(found, self._now(), state=state, counts=counts, reason=reason, blob=None)


class _Pages:
    """The pages of a run. One is written when it is full, and at the end: what a crash leaves unrecorded is published
    again, under the same ids."""

    def __init__(self, turn: HeldTurn, order: ImportHistory, import_id: str, number: int) -> None:
        self._turn = turn
        self._order = order
        self._import_id = import_id
        self._number = number
        self._listens: list[TakenListen] = []

    async def add(self, listens: Iterable[TakenListen]) -> None:
        self._listens += listens
        if len(self._listens) >= PAGE_LISTENS:
            await self.flush()

    async def flush(self) -> None:
        if not self._listens:
            return
        page = ListenPage(
            id=f"{self._import_id}:{self._number}",
            user_id=self._order.user_id,
            import_id=self._import_id,
            run=self._order.run,
            number=self._number,
            listens=packed(self._listens),
        )
        await self._turn.add_page(page)
        self._number += 1
        self._listens.clear()


def _is_running(run: int, found: HistoryImport) -> bool:
    return (found.run, found.state) == (run, "running")


def _match(resolved: "dict[SongWords, SongMatch]", row: HistoryListen) -> SongMatch:
    """The song of a row: the one that it names, or the one that its words mean."""
    if row.song_id is None:
        return resolved[words_of(row)]
    return SongMatch(row.song_id, "name" if is_name_id(row.song_id) else "words")
