"""Waits until a system has applied all that it accepted."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from math import inf

import httpx
from msgspec import Struct

from songline.audit.answers import ApiAnswers, NoAnswerError, covers
from songline.audit.api_access import REQUEST_FAILURES
from songline.audit.health_watch import POSITIONS, HealthWatch
from songline.audit.hub_log import read_ends
from songline.audit.ledger import Ledger
from songline.audit.proof import Difference, Proof, proof
from songline.audit.tasks import until, until_answered
from songline.cloud.settings import EventHubsSettings
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError


class _Buffered(Struct):
    buffered: int
    outbox_events: int


_buffered = Decoder(_Buffered, "not-an-answer")


async def rest(
    api: httpx.AsyncClient,
    watch: HealthWatch,
    ledger: Ledger,
    settings: EventHubsSettings,
    within_s: float,
    *,
    is_alone: bool,
) -> tuple[Proof, float | None]:
    """The proof that everything was applied within so long, and how long it took, None where it was not.

    `is_alone`: nobody else sends, so that the hub has to stand still too. Raises KafkaError.
    """
    began_s, answers = time.monotonic(), ApiAnswers(api)
    waits_for, late, took_s = "", [], None
    try:
        async with asyncio.timeout(within_s):
            waits_for = "the API's outbox to be empty"
            await until_answered(lambda: _is_sent(api))
            waits_for = "every upload to come to its end, and each of their songs to be in the catalog"
            for ingestion in ledger.uploads:
                await until_answered(partial(_is_settled, answers, ingestion))
            is_at_rest = False
            while not is_at_rest:
                ends = await read_ends(settings)
                waits_for = f"every projection to be at {ends}"
                for worker in POSITIONS:
                    await until_answered(partial(_is_at, watch, worker, ends))
                waits_for = "every process to be ready"
                watch.now.clear()
                await until(lambda: watch.is_all_ready, inf)
                is_at_rest = not is_alone or await read_ends(settings) == ends
        took_s = time.monotonic() - began_s
    except (TimeoutError, NoAnswerError) as error:
        seen = f"{error} {watch.unready()}".strip()
        late = [Difference("the system does not come to rest", waits_for, seen, "logs")]
    sentence = f"Everything that was accepted was applied within {within_s:.0f} s of the end."
    counts = {"events": len(ledger.events), "uploads": len(ledger.uploads)}
    return proof("comes-to-rest", sentence, counts, late), took_s


async def _is_sent(api: httpx.AsyncClient) -> bool:
    with suppress(*REQUEST_FAILURES, PoisonError):
        found = _buffered.decode((await api.get("/health/events")).content)
        return found.buffered == 0 and found.outbox_events == 0
    return False


async def _is_settled(answers: ApiAnswers, ingestion: str) -> bool:
    found = await answers.ingestion(ingestion)
    if found is not None and found.state == "ready" and found.song_id is not None:
        # Its event follows its state: that of a worker that was killed in between is published a minute later.
        return await answers.has_song(found.song_id)
    return found is None or found.state in ("ready", "rejected", "dead")


async def _is_at(watch: HealthWatch, worker: str, ends: dict[str, int]) -> bool:
    return covers(await watch.position(worker), ends)
