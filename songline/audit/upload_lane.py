"""Uploads songs over HTTP as a careful app does: each with a key, until it is accepted."""

import asyncio
import hashlib
import time
from collections.abc import Iterator

import httpx
from msgspec import Struct

from songline.audit.api_access import REQUEST_FAILURES, is_final
from songline.audit.history import OperationHistory
from songline.audit.ledger import AcceptedUpload, Ledger
from songline.audit.sample_songs import SampleSong
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

PAUSE_S = 0.5


class _Receipt(Struct):
    id: str


_receipts = Decoder(_Receipt, "not-an-answer")


class UploadLane:
    """Uploads one song after another as `user_id`; `run_id` makes its keys differ from those of other audits."""

    def __init__(
        self, http: httpx.AsyncClient, ledger: Ledger, history: OperationHistory, user_id: str, run_id: str
    ) -> None:
        self._http, self._ledger, self._history = http, ledger, history
        self._user_id, self._run_id = user_id, run_id
        self._number = 0
        self.is_closed = False

    async def run(self, songs: Iterator[SampleSong], each_s: float) -> None:
        """Upload a song every `each_s` seconds until `is_closed`; one that was begun is sent until it is accepted."""
        while not self.is_closed:
            began_s = time.monotonic()
            await self._send(next(songs))
            await asyncio.sleep(max(0.0, each_s - (time.monotonic() - began_s)))

    async def _send(self, song: SampleSong) -> None:
        self._number += 1
        key = f"{self._run_id}-{self._user_id}-{self._number}"
        headers = {"X-User-Id": self._user_id, "Idempotency-Key": key, "Content-Type": "audio/wav"}
        self._ledger.listeners.add(self._user_id)
        attempt = 0
        while True:
            attempt += 1
            began_s = time.monotonic()
            try:
                answer = await self._http.post("/v1/songs", content=song.content, headers=headers)
                outcome, body = str(answer.status_code), answer.content if answer.status_code == 202 else b""
            except REQUEST_FAILURES as error:
                outcome, body = type(error).__name__, b""
            ingestion = _id(body)
            details = {"key": key, "attempt": attempt, "took_s": round(time.monotonic() - began_s, 3)}
            self._history.record("upload", outcome, **details, ingestion=ingestion, wanted=song.outcome)
            if ingestion:
                sha256 = hashlib.sha256(song.content).hexdigest()
                self._ledger.uploads[ingestion] = AcceptedUpload(
                    ingestion, self._user_id, sha256, song.outcome, time.time()
                )
                return
            if outcome.isdecimal() and is_final(int(outcome)):
                self._history.record("misjudged", outcome, key=key)
                self._ledger.misjudged.add(key)
                return
            await asyncio.sleep(PAUSE_S)


def _id(body: bytes) -> str:
    try:
        return _receipts.decode(body).id
    except PoisonError:
        return ""
