"""Documents that may name a listener anywhere: parked records, attempts, the audit log."""

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud.cosmos import OVERTAKEN
from songline.processors.history.erasure.job import ErasureJob, HeldRecord, StepResult
from songline.processors.history.erasure.rename import REDACTED, mentions, replaced_texts
from songline.schemas.channels import ATTEMPTS, AUDIT, MUSIC_EVENTS, PARKED
from songline.schemas.decoding import convert
from songline.schemas.erasures import Erasure
from songline.schemas.errors import PoisonError
from songline.schemas.parked import ParkedEvent

_REDACTED_FIELDS = {ATTEMPTS: ("error",), AUDIT: ("note",)}
"""What may name a listener in documents that stay: words of an error, and of an operator."""

_ALL = "SELECT * FROM c"


class StoredDocuments:
    """The containers `parked`, `attempts` and `audit`. A parked record of the listener is deleted, unless the hub took
    it behind the bounds; in what others wrote about one, and in attempts, the listener's id becomes REDACTED."""

    name = "records"

    def __init__(self, database: DatabaseProxy) -> None:
        self._containers = {name: database.get_container_client(name) for name in (PARKED, ATTEMPTS, AUDIT)}

    async def run(self, job: ErasureJob) -> StepResult:
        counts: dict[str, int] = {}
        for name, container in self._containers.items():
            async for item in _documents(container):
                if not _mentions(name, item, job.user_id) or (name == PARKED and _is_later(item, job.erasure)):
                    continue
                if await _erased(name, container, item, job.user_id):
                    counts[name] = counts.get(name, 0) + 1
        return StepResult(counts)

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        for name, container in self._containers.items():
            async for item in _documents(container):
                if _mentions(name, item, user_id):
                    value = {key: part for key, part in item.items() if not key.startswith("_")}
                    yield HeldRecord(place=self.name, kind=name, id=str(item["id"]), value=value)


async def _documents(container: ContainerProxy) -> AsyncIterator[dict[str, Any]]:
    try:
        async for item in container.query_items(_ALL):
            yield dict(item)
    except CosmosResourceNotFoundError:
        return


def _mentions(name: str, item: Mapping[str, Any], user_id: str) -> bool:
    if name == PARKED:
        return _is_body_of(item, user_id) or replaced_texts(item.get("readers"), user_id, "") != item.get("readers")
    return _redacted(name, item, user_id) != item


def _is_later(item: dict[str, Any], erasure: Erasure) -> bool:
    """Whether a parked record is of a listener who began anew: behind the bounds, of the hub that they are of."""
    try:
        record = convert(item, ParkedEvent)
    except PoisonError:
        return False
    bound, created_at = erasure.bounds.get(record.partition), erasure.hub_created_at
    if record.hub != MUSIC_EVENTS or bound is None or created_at is None or record.enqueued_at is None:
        return False
    return record.position > bound and record.enqueued_at >= created_at


def _redacted(name: str, item: Mapping[str, Any], user_id: str) -> dict[str, Any]:
    words = {field: replaced_texts(item[field], user_id, REDACTED) for field in _REDACTED_FIELDS[name] if field in item}
    return {**item, **words}


def _is_body_of(item: Mapping[str, Any], user_id: str) -> bool:
    """Whether the body of a parked record is of the listener, or names them."""
    try:
        body = b64decode(str(item.get("body", "")))
    except ValueError:
        return False
    return mentions(body, user_id)


async def _erased(name: str, container: ContainerProxy, item: dict[str, Any], user_id: str) -> bool:
    """Delete or redact a document; return whether it was done here. What changes meanwhile is read again."""
    key = container_key(name, item)
    options = {"etag": item["_etag"], "match_condition": MatchConditions.IfNotModified}
    while True:
        try:
            if name == PARKED:
                await container.delete_item(item["id"], key, **options)
            else:
                await container.replace_item(item["id"], _redacted(name, item, user_id), no_response=True, **options)
        except OVERTAKEN:
            try:
                item = dict(await container.read_item(item["id"], key))
            except CosmosResourceNotFoundError:
                return False
            options["etag"] = item["_etag"]
            if not _mentions(name, item, user_id):
                return False
            continue
        return True


def container_key(name: str, item: Mapping[str, Any]) -> str:
    """The document's partition key."""
    return str(item["subject"] if name == AUDIT else item["id"])
