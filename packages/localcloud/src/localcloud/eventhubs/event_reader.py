"""The link over which a client receives the events of one partition."""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from localcloud.amqp.errors import INTERNAL_ERROR, AmqpError
from localcloud.amqp.message import DELIVERY_ANNOTATIONS, section
from localcloud.amqp.sending_link import Outlet, SendingLink
from localcloud.amqp.types import Timestamp
from localcloud.eventhubs.addresses import not_found
from localcloud.eventhubs.event_messages import Events
from localcloud.eventhubs.readers import PartitionReaders
from localcloud.faults import DuplicateFault
from localcloud.log.errors import DamagedLogError
from localcloud.log.partition import PartitionLog
from localcloud.log.segment import StoredBatch
from localcloud.log.store import Hub
from localcloud.throughput_units import ThroughputUnits

log = logging.getLogger(__name__)

READ_BYTES: Final = 256 << 10
CACHE_BYTES: Final = 8 << 20
"""Readers that keep up read within a second of each other: this is several seconds of 5,000 events a second."""
MAX_PAUSE_S: Final = 1.0
# Azure's Python SDK keeps every distinct tag for ever; events are sent settled, so that one will do for all.
_TAG: Final = b"\x00"


class EventCache:
    """The newest translated batches, so that several readers of a partition cost little more than one."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._events: OrderedDict[tuple[PartitionLog, int, int, int], Events] = OrderedDict()

    def events(self, partition: PartitionLog, batch: StoredBatch) -> Events:
        key = partition, batch.base_offset, batch.last_offset, len(batch.data)
        events = self._events.get(key)
        if events is None:
            events = self._events[key] = Events(batch.data, batch.enqueued_ms)
            self._size += events.size
            while self._size > self._limit and len(self._events) > 1:
                self._size -= self._events.popitem(last=False)[1].size
        return events


class EventReader(Outlet):
    """Delivers a partition from `position` (an offset) on, as far as there is credit."""

    def __init__(
        self,
        link: SendingLink,
        hub: Hub,
        partition: PartitionLog,
        position: int,
        *,
        group: str,
        owner_level: int | None,
        readers: PartitionReaders,
        cache: EventCache,
        now: Callable[[], float],
        report_end: bool,
        is_gone: Callable[[Hub], bool],
        egress: ThroughputUnits,
    ) -> None:
        """With `report_end`, the last event's properties go with each. `egress` holds what goes out. Raises AmqpError
        (stolen, limit exceeded)."""
        self.link = link
        self.name = str((link.requested.properties or {}).get("com.microsoft:receiver-name") or link.name)
        self.owner_level = owner_level
        self._hub = hub
        self._partition = partition
        self._position = position
        self._readers = readers
        self._key = partition, group
        self._cache = cache
        self._now = now
        self._report_end = report_end
        self._is_gone = is_gone
        self._egress = egress
        self._batches: deque[StoredBatch] = deque()
        self._events: Events | None = None
        self._next = 0
        readers.add(self._key, self)
        partition.subscribe(self._on_append)

    def on_credit(self) -> None:
        while self.link.sendable and self._has_events():
            if (wait_s := self._egress.wait_s()) > 0:
                # The service tells nobody: what is more than the units give out comes later.
                self.link.pause(min(wait_s, MAX_PAUSE_S))
                return
            fault = self.link.strike()
            if self.link.paused or self.link.ended:
                return
            assert self._events is not None
            messages, start = self._events.messages, self._next
            if self._report_end:
                end = self._end()
                messages, start = [end + message for message in messages[start : start + 256]], 0
            went = self.link.send_settled(messages, start, _TAG)
            self._egress.take(sum(map(len, messages[start : start + went])), went)
            if isinstance(fault, DuplicateFault):
                self.link.send_settled(messages[: start + went], start, _TAG)
            self._next += went
            self._position = self._events.offsets[self._next - 1] + 1

    def _has_events(self) -> bool:
        """Make `_events` hold one more from `_next` on, if there is any to be read."""
        while self._events is None or self._next >= len(self._events.messages):
            if not self._batches and not self._read_batches():
                self._events = None
                return False
            self._open_batch(self._batches.popleft())
        return True

    def _read_batches(self) -> bool:
        self._position = max(self._position, self._partition.start_offset)
        if self._position < self._partition.high_watermark:
            try:
                self._batches.extend(self._partition.read(self._position, READ_BYTES))
            except DamagedLogError as error:
                self.link.detach(AmqpError(INTERNAL_ERROR, str(error)))
        return bool(self._batches)

    def _open_batch(self, batch: StoredBatch) -> None:
        try:
            events = self._cache.events(self._partition, batch)
        except Exception:
            # A stored batch that cannot be decoded must not stop the reading of those behind it.
            log.exception("%s: batch at offset %d is left out: unreadable", self._hub.name, batch.base_offset)
            self._position, self._events = batch.last_offset + 1, None
            return
        self._events = events
        self._next = 0
        while self._next < len(events.offsets) and events.offsets[self._next] < self._position:
            self._next += 1
        if self._next == len(events.offsets):
            self._position = max(self._position, batch.last_offset + 1)

    def _end(self) -> bytes:
        partition = self._partition
        last = partition.high_watermark - 1
        return section(
            DELIVERY_ANNOTATIONS,
            {
                "last_enqueued_sequence_number": last,
                "last_enqueued_offset": str(last),
                "last_enqueued_time_utc": Timestamp(partition.last_enqueued_ms),
                "runtime_info_retrieval_time_utc": Timestamp(int(self._now() * 1000)),
            },
        )

    def _on_append(self) -> None:
        if self._is_gone(self._hub):
            self.link.detach(not_found(self._hub.name))
        else:
            self.link.pump()

    def disconnect(self, error: AmqpError) -> None:
        self.link.detach(error)

    def on_detached(self) -> None:
        self._partition.unsubscribe(self._on_append)
        self._readers.remove(self._key, self)
