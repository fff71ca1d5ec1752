"""Folds the songs of an earlier release again, so that they are found by today's rules of search."""

import logging
from contextlib import suppress
from functools import partial

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.processors.catalog.song_store import SongStore
from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.schemas.search import FOLDING

log = logging.getLogger(__name__)

MARK = "@folding"
"""The document that says by which rules all songs of the container are folded. It is no song: it has no order."""
_FORMER = "SELECT VALUE c.id FROM c WHERE c.order < '~' AND (NOT IS_DEFINED(c.folding) OR c.folding < @folding)"


async def refold(container: ContainerProxy, songs: SongStore) -> int:
    """Fold every song again that was folded by former rules, while the worker goes on; return how many there were.

    The mark is written at the end, so that a later start reads one document. Services that fail are waited for. Several
    workers may do it at once: a document is written under its ETag.
    """
    retries = PersistentRetry("folding songs again")
    found: list[str] = []
    await retries.run(partial(_find, container, found))
    folded = 0
    while found:
        for song_id in found:
            await retries.run(partial(songs.refold, song_id))
        folded += len(found)
        await retries.run(partial(_find, container, found))
    if folded:
        log.info("%d songs are found by today's rules of search now", folded)
    return folded


async def _find(container: ContainerProxy, found: list[str]) -> None:
    found.clear()
    with suppress(CosmosResourceNotFoundError):
        if (await container.read_item(MARK, MARK))["folding"] >= FOLDING:
            return
    parameters: list[dict[str, object]] = [{"name": "@folding", "value": FOLDING}]
    found += [str(song_id) async for song_id in container.query_items(_FORMER, parameters=parameters)]
    if not found:
        await container.upsert_item({"id": MARK, "folding": FOLDING})
