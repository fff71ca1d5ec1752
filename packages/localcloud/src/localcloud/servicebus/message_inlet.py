"""The link over which a client sends to a queue or a topic."""

import asyncio
from collections.abc import Awaitable

from localcloud.amqp.codec import DecodeError, decode
from localcloud.amqp.message import DATA, sections
from localcloud.amqp.receiving_link import Delivery, Inlet
from localcloud.servicebus.amqp_format import BATCH_FORMAT, amqp_error
from localcloud.servicebus.errors import InvalidArgumentError, ServiceBusError
from localcloud.servicebus.message import BodyFile, MessageContent, read_content
from localcloud.servicebus.namespace import ServiceBusNamespace
from localcloud.servicebus.store import BLOB_BYTES


class MessageInlet(Inlet):
    """Sends messages to `path` in the order in which they come; each is accepted when it is on disk."""

    def __init__(self, namespace: ServiceBusNamespace, path: str) -> None:
        self._namespace = namespace
        self._path = path
        self._order = asyncio.Lock()

    def on_delivery(self, delivery: Delivery) -> None:
        if self._order.locked() or len(delivery.payload) >= BLOB_BYTES:
            self._namespace.spawn(self._take_in_turn(delivery))
            return
        try:
            contents = self._read(delivery)
            durable = self._send(contents)
        except ServiceBusError as error:
            delivery.reject(amqp_error(error))
            return
        self._namespace.spawn(self._settle(delivery, durable))

    async def _take_in_turn(self, delivery: Delivery) -> None:
        """Store bodies in files first; deliveries behind this one wait, so that the order stays."""
        async with self._order:
            try:
                contents = [await self._namespace.store_body(content) for content in self._read(delivery)]
                durable = self._send(contents)
            except ServiceBusError as error:
                delivery.reject(amqp_error(error))
                return
        await self._settle(delivery, durable)

    def _read(self, delivery: Delivery) -> list[MessageContent]:
        new_id = self._namespace.new_id
        if delivery.message_format != BATCH_FORMAT:
            return [read_content(delivery.payload, new_id())]
        return [read_content(payload, new_id()) for payload in unpack_batch(delivery.payload)]

    def _send(self, contents: list[MessageContent]) -> Awaitable[None]:
        blobs = [content.body.name for content in contents if isinstance(content.body, BodyFile)]
        _, durable = self._namespace.apply(lambda broker, now_ms: broker.send(self._path, contents, now_ms), blobs)
        return durable

    async def _settle(self, delivery: Delivery, durable: Awaitable[None]) -> None:
        try:
            await durable
        except ServiceBusError as error:
            delivery.reject(amqp_error(error))
        else:
            delivery.accept()


def unpack_batch(payload: bytes) -> list[bytes]:
    """The messages in a batch: one data section each. Raises InvalidArgumentError."""
    messages: list[bytes] = []
    try:
        for code, start, _ in sections(payload):
            if code != DATA:
                continue
            message, _ = decode(payload, start)
            if not isinstance(message, bytes):
                raise InvalidArgumentError("a batch has its messages as binary data")
            messages.append(message)
    except DecodeError as error:
        raise InvalidArgumentError(f"the batch is malformed: {error}") from None
    if not messages:
        raise InvalidArgumentError("the batch has no message")
    return messages
