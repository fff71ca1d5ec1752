"""Songs of a listener that no subscriber of Event Grid took, in the blob container `undelivered`."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from msgspec import Raw, Struct

from songline.processors.history.erasure.job import ErasureJob, HeldRecord, StepResult
from songline.processors.history.erasure.rename import ids_in, mentions
from songline.schemas.decoding import Decoder
from songline.schemas.erasures import Erasure, listener_hash
from songline.schemas.errors import PoisonError
from songline.schemas.moments import read_moment

_events: Decoder[list[Raw]] = Decoder(list[Raw])
_anything: Decoder[Any] = Decoder(Any)
_encode = msgspec.json.Encoder().encode


class _Timed(Struct):
    time: str


_timed = Decoder(_Timed)


class UndeliveredEvents:
    """The container `undelivered`, where each blob is a list of events. Those of the listener are deleted, up to the
    moment at which it was fixed up to where they are forgotten."""

    name = "undelivered"

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def run(self, job: ErasureJob) -> StepResult:
        """Delete the listener's events."""
        return await self._delete(job.erasure, lambda event: mentions(event, job.user_id))

    async def end(self, erasure: Erasure) -> None:
        """Delete what came after the erasure was done: a topic tries for a day. The listener is known by their hash."""
        key = bytes.fromhex(erasure.key)
        await self._delete(
            erasure, lambda event: any(listener_hash(word, key) == erasure.listener for word in ids_in(event))
        )

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """The listener's events."""
        async for name, _, content in self._blobs():
            for number, event in enumerate(events_in(content)):
                if mentions(event, user_id):
                    yield HeldRecord(
                        place=self.name, kind="undelivered event", id=f"{name}:{number}", value=_value(event)
                    )

    async def _delete(self, erasure: Erasure, is_theirs: Callable[[bytes], bool]) -> StepResult:
        fixed = erasure.step("hub")
        bound = None if fixed is None else fixed.done_at
        count = 0
        async for name, etag, content in self._blobs():
            events = events_in(content)
            kept = [event for event in events if is_later(event, bound) or not is_theirs(event)]
            if len(kept) == len(events):
                continue
            # As it was read: another erasure may have written it anew.
            unchanged: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
            if kept:
                data = _encode([Raw(event) for event in kept])
                await self._container.upload_blob(name, data, overwrite=True, **unchanged)
            else:
                await self._container.delete_blob(name, **unchanged)
            count += len(events) - len(kept)
        return StepResult({"undelivered events": count} if count else {})

    async def _blobs(self) -> AsyncIterator[tuple[str, str, bytes]]:
        """The name, the ETag and the content of each blob; of none where there is no such container."""
        try:
            names = [blob.name async for blob in self._container.list_blobs()]
        except ResourceNotFoundError:
            return
        for name in names:
            try:
                stream = await self._container.download_blob(name)
                content = await stream.readall()
            except ResourceNotFoundError:
                continue
            yield name, str(stream.properties.etag), content


def events_in(content: bytes) -> list[bytes]:
    """The events in a blob, as JSON; all of it as one where it is no list."""
    try:
        return [bytes(event) for event in _events.decode(content)]
    except PoisonError:
        return [content]


def is_later(event: bytes, bound: datetime | None) -> bool:
    """Whether the event says that it is later than `bound`."""
    try:
        return bound is not None and read_moment(_timed.decode(event).time) > bound
    except PoisonError:
        return False


def _value(event: bytes) -> dict[str, Any]:
    try:
        value = _anything.decode(event)
    except PoisonError:
        value = event.decode("utf-8", "replace")
    return value if isinstance(value, dict) else {"content": value}
