"""Publishes events over HTTP as a careful service does: in order, each batch until it is accepted."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from msgspec import Struct

from songline.audit.api_access import REQUEST_FAILURES, is_final
from songline.audit.history import OperationHistory
from songline.audit.ledger import Ledger
from songline.producers.http.event_endpoint import BATCH
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

PAUSE_S = 0.3
MOST = 50


class SentEvent(Struct, frozen=True):
    """An event on its way: its id, its listener, its body. `is_good` says whether the contract takes it."""

    id: str
    listener: str
    body: bytes
    is_good: bool = True


class _Item(Struct):
    status: str
    error: dict[str, Any] | None = None


class _Batch(Struct):
    results: list[_Item]


_batches = Decoder(_Batch, "not-an-answer")


class EventLane:
    """Sends the events of some listeners, one batch after another. `is_doubtful` says whether an event may be refused
    now for want of room, so that later ones of its listener may be taken before it."""

    def __init__(
        self,
        number: int,
        http: httpx.AsyncClient,
        ledger: Ledger,
        history: OperationHistory,
        is_doubtful: Callable[[], bool],
    ) -> None:
        self._number, self._http, self._ledger, self._history = number, http, ledger, history
        self._is_doubtful = is_doubtful
        self._waiting: list[SentEvent] = []
        self._news = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """How many events wait or are on their way."""
        return len(self._waiting)

    def put(self, event: SentEvent) -> None:
        """Have an event sent behind all others."""
        self._waiting.append(event)
        self._news.set()

    def close(self) -> None:
        """Let `run` return once all is accepted."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Send what is put until `close`."""
        while self._waiting or not self._closed:
            await self._news.wait()
            if self._waiting:
                batch = self._waiting[:MOST]
                await self._send(batch)
                del self._waiting[: len(batch)]
            elif not self._closed:
                self._news.clear()

    async def _send(self, batch: Sequence[SentEvent]) -> None:
        content = b"[" + b",".join(one.body for one in batch) + b"]"
        self._ledger.offered.update(one.id for one in batch if one.is_good)
        self._ledger.listeners.update(one.listener for one in batch)
        attempt, is_doubtful = 0, False
        while True:
            attempt += 1
            began_s = time.monotonic()
            try:
                answer = await self._http.post("/v1/events", content=content, headers={"Content-Type": BATCH})
                outcome = str(answer.status_code)
            except REQUEST_FAILURES as error:
                answer, outcome = None, type(error).__name__
            details = {"lane": self._number, "attempt": attempt, "took_s": round(time.monotonic() - began_s, 3)}
            if answer is not None and answer.is_success:
                self._accept(batch, answer.content, is_doubtful)
                self._history.record("publish", outcome, **details, ids=[one.id for one in batch])
                return
            self._history.record("publish", outcome, **details, events=len(batch))
            if answer is not None and is_final(answer.status_code):
                self._history.record("misjudged", outcome, answer=answer.text[:1_000])
                self._ledger.misjudged.update(one.id for one in batch)
                return
            self._ledger.sent_again += len(batch)
            is_doubtful = is_doubtful or outcome == "503" or self._is_doubtful()
            await asyncio.sleep(PAUSE_S)

    def _accept(self, batch: Sequence[SentEvent], content: bytes, is_doubtful: bool) -> None:
        try:
            results = _batches.decode(content).results
        except PoisonError:
            results = []
        if len(results) != len(batch):
            self._history.record("misjudged", "unreadable", answer=content[:1_000].decode(errors="replace"))
            self._ledger.misjudged.update(one.id for one in batch)
            return
        taken = []
        for event, result in zip(batch, results, strict=True):
            is_taken = result.status in ("sent", "kept")
            if is_taken != event.is_good:
                self._history.record("misjudged", result.status, id=event.id, error=result.error)
                self._ledger.misjudged.add(event.id)
            elif is_taken:
                taken.append((event.id, event.listener, event.body))
            else:
                self._ledger.refused.add(event.id)
        self._ledger.accept(taken, is_doubtful=is_doubtful)
