"""What callers ask of erasures: a request, and taking it back while its window lasts."""

from collections.abc import Callable
from datetime import datetime, timedelta

from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.schemas.envelope import uuid7
from songline.schemas.erasures import Erasure, SongsChoice, listener_hash, undone
from songline.schemas.forgotten import KEY_BYTES


class TooLateError(Exception):
    """An erasure can't be taken back: it has begun, or is over."""


async def request_erasure(
    store: ErasureStore,
    user_id: str,
    songs: SongsChoice,
    window: timedelta,
    by: str,
    now: datetime,
    random_hex: Callable[[int], str],
) -> Erasure:
    """Return the request once it is durable. One that is open for the listener already is returned instead, unless it
    is fixed up to where it forgets them: what came since is for a further one.

    `random_hex` returns so many random bytes in hexadecimal digits. Raises AzureError.
    """
    for known in await store.of(user_id):
        if known.hub_created_at is None:
            return known
    key = random_hex(KEY_BYTES)
    erasure = Erasure(
        id=uuid7(int(now.timestamp() * 1_000), int(random_hex(10), 16) & (1 << 74) - 1),
        state="waiting",
        songs=songs,
        requested_at=now,
        due_at=now + window,
        by=by,
        user_id=user_id,
        key=key,
        listener=listener_hash(user_id, bytes.fromhex(key)),
    )
    await store.create(erasure)
    return erasure


async def undo_erasure(store: ErasureStore, erasure_id: str, now: datetime) -> Erasure:
    """Take a request back; one that was taken back already stays so. Raises NoErasureError and TooLateError."""

    def taken_back(before: Erasure) -> Erasure:
        if before.state == "undone":
            return before
        if before.state != "waiting":
            what = "is done" if before.state == "done" else "has begun"
            raise TooLateError(f"erasure {erasure_id} {what}, and can't be taken back")
        return undone(before, now)

    return await store.change(erasure_id, taken_back)
