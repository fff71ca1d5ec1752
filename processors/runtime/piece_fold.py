"""Folding in pieces: a piece is noted before it is folded, so that a record that ends the reader is found."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from songline.processors.runtime.attempt_log import ENDED, AttemptLog
from songline.processors.runtime.attempts import Dissection
from songline.processors.runtime.bisection import bisect
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.piece_gate import PieceGate
from songline.processors.runtime.record_parker import RecordParker
from songline.processors.runtime.service_errors import ItemRefusedError, last_line
from songline.schemas.parked import CRASHES_THE_FOLD, REFUSED_BY_STORE

log = logging.getLogger(__name__)


class PieceFold:
    """The pieces of the partition at `place`.

    `fold` folds and writes records with a processor of their own. `commit` moves the position to a record. `crash` ends
    the reader because of an error of the records from a position on. A suspect goes through `gate` alone: were another
    piece folded meanwhile, that could be what ends the process.
    """

    def __init__(
        self,
        place: str,
        attempts: AttemptLog,
        parker: RecordParker,
        gate: PieceGate,
        fold: Callable[[Sequence[HubRecord]], Awaitable[None]],
        commit: Callable[[HubRecord], Awaitable[None]],
        crash: Callable[[int, Exception], Awaitable[NoReturn]],
    ) -> None:
        self._place = place
        self._attempts = attempts
        self._parker = parker
        self._gate = gate
        self._fold = fold
        self._commit = commit
        self._crash = crash

    async def run(self, records: Sequence[HubRecord], plan: Dissection, *, parks_crashes: bool) -> Sequence[HubRecord]:
        """Fold the records that `plan` covers; return those after them.

        A record that a store refuses is parked. One whose fold raises is parked where that is not its first time
        (`parks_crashes`), else it ends the reader.
        """
        while records:
            first = records[0].position
            if plan.is_over(first - 1):
                break
            size = 1 if self._attempts.is_culprit(first) else plan.next_size(first)
            piece, records = records[:size], records[size:]
            async with self._gate.alone() if plan.is_suspect(first) else self._gate.beside():
                await self._fold_piece(piece, plan, parks_crashes)
            plan.advance(piece[-1].position)
        return records

    async def _fold_piece(self, piece: Sequence[HubRecord], plan: Dissection, parks_crashes: bool) -> None:
        async def park(record: HubRecord, error: Exception) -> None:
            refused = isinstance(error, ItemRefusedError)
            if not refused and not parks_crashes:
                await self._crash(record.position, error)
            log.error("%s: the record at %d can't be applied", self._place, record.position, exc_info=error)
            reason = REFUSED_BY_STORE if refused else CRASHES_THE_FOLD
            await self._parker.park_failure(record, reason, last_line(error))

        if self._attempts.is_culprit(piece[0].position):
            await self._parker.park_failure(piece[0], CRASHES_THE_FOLD, self._attempts.error or ENDED)
        else:
            await self._attempts.begin_piece(plan, piece[0].position, piece[-1].position)
            await bisect(piece, self._fold, park)
        self._attempts.end_piece()
        await self._commit(piece[-1])
