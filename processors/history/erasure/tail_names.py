"""Forgotten listeners in the tail of the hub: until its retention is over, readers see the names of the archive."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from songline.cloud import cosmos
from songline.cloud.settings import COSMOS_CONNECTION, COSMOS_ENDPOINT, read_cosmos
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.rename import ids_in, renamed_body
from songline.processors.runtime.resume_point import same_hub
from songline.schemas.channels import DATABASE, ERASURES
from songline.schemas.envelope import decode
from songline.schemas.erasures import Erasure, listener_hash
from songline.schemas.errors import PoisonError
from songline.schemas.forgotten import ForgottenNames


class _Forgotten(Struct, frozen=True):
    listener: str
    key: bytes
    bounds: Mapping[str, int]
    names: ForgottenNames

    def is_id(self, word: str) -> bool:
        """Whether `word` is the listener's id."""
        return listener_hash(word, self.key) == self.listener


class ForgottenListeners:
    """Those whose events may be in the tail of the hub that was created at `created_at`: known by their hashes."""

    def __init__(self, erasures: Iterable[Erasure], created_at: datetime) -> None:
        self._forgotten = [
            _Forgotten(one.listener, key := bytes.fromhex(one.key), one.bounds, ForgottenNames(key))
            # Of a listener who was forgotten twice, what came before the first has the names of the first.
            for one in sorted(erasures, key=lambda one: one.requested_at)
            if one.key and one.hub_created_at is not None and same_hub(one.hub_created_at, created_at)
        ]

    def may_name(self, partition: str, position: int) -> bool:
        """Whether an event of a partition, at this position or a later one, may be of one of them."""
        return any(one.bounds.get(partition, -1) >= position for one in self._forgotten)

    def renamed(
        self, partition: str, positions: Sequence[int], enqueued_s: Sequence[int], bodies: list[bytes]
    ) -> list[bytes]:
        """The bodies of a partition's events, where those of forgotten listeners have their names; `bodies` itself
        where there are none. Positions are sequence numbers."""
        known = [one for one in self._forgotten if positions and one.bounds.get(partition, -1) >= positions[0]]
        if not known:
            return bodies
        return [
            _renamed(body, enqueued, [one for one in known if one.bounds[partition] >= position])
            for position, enqueued, body in zip(positions, enqueued_s, bodies, strict=True)
        ]


def _renamed(body: bytes, enqueued_s: int, known: Sequence[_Forgotten]) -> bytes:
    if not known:
        return body
    try:
        words: Iterable[str] = (decode(body).data.user_id,)
    except PoisonError:
        # It is parked under a name too.
        words = ids_in(body)
    for word in words:
        for one in known:
            if one.is_id(word):
                body = renamed_body(body, word, one.names, enqueued_s)[0]
    return body


NOBODY_FORGOTTEN = ForgottenListeners((), datetime(1970, 1, 1, tzinfo=UTC))


def is_being_forgotten(user_id: str, erasures: Iterable[Erasure]) -> bool:
    """Whether an erasure of the listener has begun, and is not done."""
    return any(one.state == "running" and _is_of(user_id, one) for one in erasures)


def erasures_of(user_id: str, erasures: Iterable[Erasure]) -> frozenset[str]:
    """The ids of the listener's own erasures, begun or done."""
    return frozenset(one.id for one in erasures if _is_of(user_id, one))


def _is_of(user_id: str, erasure: Erasure) -> bool:
    return listener_hash(user_id, bytes.fromhex(erasure.key)) == erasure.listener


async def read_keyed(environ: Mapping[str, str]) -> list[Erasure]:
    """The erasures whose listeners' events may be in the tail; none where the environment names no Cosmos DB, or where
    the account has no erasures yet. Raises AzureError and SettingError."""
    if not (environ.get(COSMOS_CONNECTION) or environ.get(COSMOS_ENDPOINT)):
        return []
    async with cosmos.opened(read_cosmos(environ)) as account:
        return await ErasureStore(cosmos.container(account, DATABASE, ERASURES)).keyed()
