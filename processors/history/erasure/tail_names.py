"""Forgotten listeners in the tail of the hub: until its retention is over, readers see the names of the archive."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from azure.core.exceptions import ResourceNotFoundError
from msgspec import Struct

from songline.cloud import cosmos
from songline.cloud.settings import COSMOS_CONNECTION, COSMOS_ENDPOINT, read_cosmos
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.rename import renamed_body
from songline.processors.runtime.resume_point import same_hub
from songline.schemas.channels import DATABASE, ERASURES
from songline.schemas.envelope import decode
from songline.schemas.erasures import Erasure, listener_hash
from songline.schemas.errors import PoisonError
from songline.schemas.forgotten import ForgottenNames
from songline.schemas.progress import Watermark


class _Forgotten(Struct, frozen=True):
    listener: str
    key: bytes
    bounds: Mapping[str, int]


class ForgottenListeners:
    """Those whose events may be in the tail of the hub that was created at `created_at`: known by their hashes."""

    def __init__(self, erasures: Iterable[Erasure], created_at: datetime) -> None:
        self._forgotten = [
            _Forgotten(one.listener, bytes.fromhex(one.key), one.bounds)
            for one in erasures
            if one.key and one.hub_created_at is not None and same_hub(one.hub_created_at, created_at)
        ]

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


def _renamed(body: bytes, enqueued_s: int, known: Iterable[_Forgotten]) -> bytes:
    try:
        user_id = decode(body).data.user_id
    except PoisonError:
        return body
    for one in known:
        if listener_hash(user_id, one.key) == one.listener:
            return renamed_body(body, user_id, ForgottenNames(one.key), enqueued_s)[0]
    return body


def is_being_forgotten(user_id: str, erasures: Iterable[Erasure]) -> bool:
    """Whether an erasure of the listener has begun, and is not done."""
    return any(
        one.state == "running" and listener_hash(user_id, bytes.fromhex(one.key)) == one.listener for one in erasures
    )


def would_return(erasures: Iterable[Erasure], watermarks: Mapping[str, Watermark]) -> bool:
    """Whether a worker that goes on from these watermarks reads what a listener did before they were forgotten: the hub
    has it under their id."""
    reached = {partition: watermark.position for partition, watermark in watermarks.items()}
    bounds = [bound for one in erasures if one.key for bound in one.bounds.items()]
    return any(last > reached.get(partition, -1) for partition, last in bounds)


def would_reread(
    erasures: Iterable[Erasure], created_at: datetime, partition: str, first: int, position: int | None
) -> bool:
    """Whether a worker that has applied a partition up to `position` reads once more what a listener did before they
    were forgotten, if it begins again at `first`, of the hub that was created at `created_at`."""
    bounds = [
        one.bounds.get(partition, -1)
        for one in erasures
        if one.key and one.hub_created_at is not None and same_hub(one.hub_created_at, created_at)
    ]
    return position is not None and any(first <= bound <= position for bound in bounds)


async def read_keyed(environ: Mapping[str, str]) -> list[Erasure]:
    """The erasures whose listeners' events may be in the tail; none where the environment names no Cosmos DB, or where
    the account has no erasures yet. Raises AzureError and SettingError."""
    if not (environ.get(COSMOS_CONNECTION) or environ.get(COSMOS_ENDPOINT)):
        return []
    account = cosmos.client(read_cosmos(environ))
    try:
        return await ErasureStore(cosmos.container(account, DATABASE, ERASURES)).keyed()
    except ResourceNotFoundError:
        return []
    finally:
        await account.close()
