"""The link over which a client sends events to a hub or to one of its partitions."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from localcloud.amqp.codec import DecodeError
from localcloud.amqp.errors import DECODE_ERROR, INTERNAL_ERROR, AmqpError
from localcloud.amqp.receiving_link import Delivery, Inlet
from localcloud.amqp.types import Symbol
from localcloud.eventhubs.addresses import not_found
from localcloud.eventhubs.event_records import record_batch, records_of
from localcloud.eventhubs.partition_key import partition_of
from localcloud.faults import SERVER_BUSY
from localcloud.log.errors import AppendError, LogError
from localcloud.log.partition import AppendedBatch, PartitionLog
from localcloud.log.store import Hub
from localcloud.throughput_units import ThroughputUnits

log = logging.getLogger(__name__)

MAX_MESSAGE_SIZE: Final = 1_048_576
# The service's words.
_THROTTLED: Final = (
    "The request was terminated because the namespace is being throttled. Error code : 50002. "
    "Please wait 4 seconds and try again."
)


class EventWriter(Inlet):
    """Stores each delivery as one record batch, and accepts it when that is on disk.

    `partition` is None for a link to the hub: then the key decides, and without a key `turns` does. What is more than
    `units` take in is refused for now.
    """

    def __init__(
        self,
        hub: Hub,
        partition: PartitionLog | None,
        turns: Iterator[PartitionLog],
        now: Callable[[], float],
        is_gone: Callable[[Hub], bool],
        units: ThroughputUnits,
    ) -> None:
        self._hub = hub
        self._partition = partition
        self._turns = turns
        self._now = now
        self._is_gone = is_gone
        self._units = units

    def on_delivery(self, delivery: Delivery) -> None:
        if self._units.wait_s() > 0:
            delivery.reject(AmqpError(Symbol(SERVER_BUSY), _THROTTLED))
            return
        try:
            key, records = records_of(delivery.payload, delivery.message_format, compacted=self._hub.config.compacted)
            if not records:
                delivery.accept()
                return
            self._units.take(len(delivery.payload), len(records))
            appended = self._choose(key).submit(record_batch(records, int(self._now() * 1000)))
        except DecodeError as error:
            delivery.reject(AmqpError(DECODE_ERROR, f"the event is malformed: {error}"))
        except LogError as error:
            self._reject(delivery, error)
        else:
            appended.add_done_callback(partial(self._on_appended, delivery))

    def _choose(self, key: str | None) -> PartitionLog:
        if self._partition is not None:
            return self._partition
        if key is not None:
            return self._hub.partitions[partition_of(key, len(self._hub.partitions))]
        return next(self._turns)

    def _on_appended(self, delivery: Delivery, appended: asyncio.Future[AppendedBatch]) -> None:
        error = None if appended.cancelled() else appended.exception()
        if appended.cancelled() or error is not None:
            self._reject(delivery, error)
        else:
            delivery.accept()

    def _reject(self, delivery: Delivery, error: BaseException | None) -> None:
        if self._is_gone(self._hub):
            delivery.link.detach(not_found(self._hub.name))
            return
        full = isinstance(error, AppendError) and error.disk_full
        if not full:
            log.error("%s: an append failed: %s", self._hub.name, error)
        # Senders retry after this. The log has written its one line.
        condition = Symbol(SERVER_BUSY) if full else INTERNAL_ERROR
        delivery.reject(AmqpError(condition, f"The event was not kept, send it again later: {error}"))
