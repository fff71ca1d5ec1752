"""What knows azure-eventhub's inside: events that have arrived are taken from memory all at once.

The SDK reads each frame, and so each event, under `asyncio.wait_for`, decodes all of it into some ten objects, and
remembers its delivery-tag for ever. Here the frames that are in memory are cut apart, and the messages in them stay as
they are, in a `ReceivedEvent`: its position, time and body are read, and all else is decoded by the SDK when it is
asked for. Connections, links, credit, errors, and what is no event stay the SDK's.

Where nothing has arrived the SDK waits for a frame under a timer, and sleeps twice as well, for each partition by
itself. Here a round without a frame ends at once, and all sleep until the same moment: longer while few events come.

A link is open after some ten answers of the hub, after each of which the SDK sleeps. Here it sleeps a tenth of that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from functools import partial, wraps
from importlib.metadata import version
from math import floor, inf
from types import SimpleNamespace
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from azure.eventhub import EventData
from azure.eventhub._pyamqp._decode import decode_payload
from azure.eventhub._pyamqp.aio._client_async import ReceiveClientAsync
from azure.eventhub._pyamqp.aio._connection_async import Connection
from azure.eventhub._pyamqp.aio._receiver_async import ReceiverLink
from azure.eventhub.aio import _client_base_async as opening
from azure.eventhub.aio._consumer_async import EventHubConsumer
from azure.eventhub.aio._transport import _pyamqp_transport_async as receiving
from azure.eventhub.aio._transport._pyamqp_transport_async import PyamqpTransportAsync

from songline.cloud.eventhub_messages import read_event, read_transfer

KNOWN_VERSION = "5.15.1"
"""The version of azure-eventhub that this was read against. Another one receives in its own way."""

_MORE_BYTES = 32 * 1024
"""So many bytes that have arrived meanwhile are taken in the same round."""

LISTEN_S = 1.0
"""A connection on which nothing arrives is left to the SDK so often, which sees to its time-outs then."""

READY_S = 0.005
"""The pause between two looks whether a link is open."""

_SDK_READY_S = 0.05

QUIET_S = 0.5
"""The pause between two rounds while few events come. An event may wait so long, and each round costs more than it."""

QUIET_AFTER_S = 2.0
"""Few events have come for so long before the pauses are longer: a reader that is behind takes none while it folds."""

FEW = 400
"""So many events of all readers of a process, in QUIET_AFTER_S, are more than few."""

_ReadFrame: TypeAlias = Callable[..., Coroutine[Any, Any, bool]]
_IncomingTransfer: TypeAlias = Callable[[Any, list[Any]], Awaitable[None]]
_NextMessage: TypeAlias = Callable[[Any], EventData]
_Round: TypeAlias = Callable[..., Coroutine[Any, Any, bool]]


class ReceivedEvent(EventData):
    """An event as it was received: `message_bytes` is its AMQP message, `fields` what readers need of it; None where it
    is written in an unusual way.

    What the SDK needs of it to begin to read again is had without decoding, which fails for some types of AMQP.
    """

    def __init__(self, message: bytes) -> None:
        self.message_bytes = message
        self.fields = read_event(message)

    @property
    def sequence_number(self) -> int | None:
        return self.fields.position if self.fields else super().sequence_number

    @property
    def offset(self) -> str | None:
        return self.fields.offset.decode("utf-8", "replace") if self.fields and self.fields.offset else super().offset

    @property
    def enqueued_time(self) -> datetime | None:
        return self.fields.enqueued_at if self.fields else super().enqueued_time

    def __getattr__(self, name: str) -> Any:
        # Called for what is not set yet: the SDK's own fields.
        if "_raw_amqp_message" in self.__dict__:
            raise AttributeError(name)
        decoded = EventData._from_message(decode_payload(memoryview(self.message_bytes)))
        self.__dict__.update(decoded.__dict__)
        return getattr(self, name)


def install() -> bool:
    """Replace how the SDK receives events, once; return whether that is so. Without it all works, at a higher cost."""
    connection: Any = Connection
    link: Any = ReceiverLink
    consumer: Any = EventHubConsumer
    if hasattr(connection._read_frame, "__wrapped__"):
        return True
    if version("azure-eventhub") != KNOWN_VERSION:
        return False
    connection._read_frame = _taking_what_arrived(connection._read_frame)
    link._incoming_transfer = _taking_messages(link._incoming_transfer)
    consumer._next_message_in_buffer = _giving_messages(consumer._next_message_in_buffer)
    client: Any = ReceiveClientAsync
    client._client_run_async = _ending_at_once(client._client_run_async)
    # The two tasks of a consumer sleep for as long between their rounds, by the name that this module has.
    sleeping: Any = receiving
    sleeping.asyncio = SimpleNamespace(**{**vars(asyncio), "sleep": _sleep_together})
    sleeping = opening
    sleeping.asyncio = SimpleNamespace(**{**vars(asyncio), "sleep": _sleep_while_opening})
    return True


def pause_together_s(now_s: float, delay_s: float) -> float:
    """Until the next multiple of `delay_s` that is at least half of it away: all who sleep as long wake together."""
    return (floor(now_s / delay_s + 0.5) + 1) * delay_s - now_s


class RoundPace:
    """How long the readers of a process sleep between their rounds, by how many events they `take` in all."""

    def __init__(self) -> None:
        self._is_quiet = False
        self._taken = 0
        self._since_s = inf

    def take(self) -> None:
        """An event was taken."""
        self._taken += 1

    def delay_s(self, now_s: float, delay_s: float) -> float:
        """What to sleep for in place of `delay_s`."""
        self._since_s = min(self._since_s, now_s)
        if self._taken >= FEW or now_s - self._since_s >= QUIET_AFTER_S:
            self._is_quiet = self._taken < FEW
            self._taken, self._since_s = 0, now_s
        return max(delay_s, QUIET_S) if self._is_quiet else delay_s


_pace = RoundPace()


async def _sleep_together(delay_s: float) -> None:
    now_s = asyncio.get_running_loop().time()
    await asyncio.sleep(pause_together_s(now_s, _pace.delay_s(now_s, delay_s)))


async def _sleep_while_opening(delay_s: float) -> None:
    # The module sleeps before it tries again as well, for longer.
    await asyncio.sleep(READY_S if delay_s == _SDK_READY_S else delay_s)


def _ending_at_once(run: _Round, steady: Callable[[], float] = time.monotonic) -> _Round:
    """A round of a receiver, after which the SDK sleeps: it ends at once where nothing has arrived."""
    listened_s: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    @wraps(run)
    async def run_once(client: Any, **options: Any) -> bool:
        now_s = steady()
        if not _has_work(client) and now_s - listened_s.get(client, -LISTEN_S) < LISTEN_S:
            return True
        listened_s[client] = now_s
        return await run(client, **options)

    return run_once


def _has_work(client: Any) -> bool:
    """Whether a receiver has something to read or to say, or is none of a consumer's, or not as it usually is."""
    link, transport = client._link, client._connection._transport
    reader, begun = getattr(transport, "reader", None), getattr(transport, "_read_buffer", None)
    if reader is None or begun is None or _consumer_of(link) is None or link.current_link_credit <= 0:
        return True
    if reader.at_eof() or reader.exception() is not None or not client._connection._can_read():
        return True
    return bool(reader._buffer) or begun.tell() < begun.getbuffer().nbytes


def _taking_what_arrived(read_frame: _ReadFrame) -> _ReadFrame:
    # How many frames the SDK itself reads on each connection at the moment. It reads in two tasks, one of which keeps
    # the connection alive, and hands on a frame some turns of the loop after it took it: nothing may overtake that.
    reading: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    @wraps(read_frame)
    async def take_or_read(connection: Any, wait: float | bool = True, **options: Any) -> bool:
        if not reading.get(connection) and (link := await _take_arrived(connection)) is not None:
            # True ends the round. The SDK begins the next one soon, and until then more arrives, to be taken at once.
            # Where no credit is left, more would be waited for in vain.
            return link.current_link_credit <= 0 or len(connection._transport.reader._buffer) < _MORE_BYTES
        reading[connection] = reading.get(connection, 0) + 1
        try:
            return await read_frame(connection, wait=wait, **options)
        finally:
            reading[connection] -= 1

    return take_or_read


async def _take_arrived(connection: Any) -> Any:
    """Take the events that have arrived whole, up to what is no event; the link of the last one, None for none.

    It never waits, so that no other task takes anything meanwhile.
    """
    transport = connection._transport
    reader, begun = getattr(transport, "reader", None), getattr(transport, "_read_buffer", None)
    if reader is None or begun is None or transport.socket_lock.locked() or not connection._can_read():
        return None
    if begun.tell() < begun.getbuffer().nbytes or reader.exception() is not None:
        return None
    arrived = bytes(reader._buffer)
    start, link = 0, None
    while (transfer := read_transfer(arrived, start)) is not None:
        session = connection._incoming_endpoints.get(transfer.channel)
        of_transfer = None if session is None else session._input_handles.get(transfer.handle)
        consumer = None if of_transfer is None else _consumer_of(of_transfer)
        # After the last frame of its window a session sends a flow, which is the SDK's to do.
        if consumer is None or session.incoming_window <= 1:
            break
        link = of_transfer
        session.next_incoming_id += 1
        session.remote_outgoing_window -= 1
        session.incoming_window -= 1
        _take_message(link, consumer, transfer.delivery_id, arrived[transfer.payload : transfer.end])
        start = transfer.end
    if link is not None:
        connection._last_frame_received_time = time.time()
        await reader.readexactly(start)
    return link


def _taking_messages(incoming_transfer: _IncomingTransfer) -> _IncomingTransfer:
    @wraps(incoming_transfer)
    async def take(link: Any, frame: list[Any]) -> None:
        """Take a transfer that the SDK read, as `ReceiverLink._incoming_transfer` does it."""
        consumer = _consumer_of(link)
        delivery_id, more, aborted, payload = frame[1], frame[5], frame[9], frame[11]
        if consumer is None:
            await incoming_transfer(link, frame)
        elif aborted:
            # The hub gives the delivery up, which has used credit nonetheless.
            link.received_delivery_id = delivery_id
            link.delivery_count += 1
            link.current_link_credit -= 1
            link._received_payload = bytearray()
        elif more:
            link.received_delivery_id = delivery_id
            link._received_payload.extend(payload)
        else:
            _take_message(link, consumer, delivery_id, bytes(payload))

    return take


def _take_message(link: Any, consumer: Any, delivery_id: int | None, end: bytes) -> None:
    """Count a message whose last transfer brings `end`, and put it where the SDK's consumer takes it from."""
    link.received_delivery_id = delivery_id
    link.delivery_count += 1
    link.current_link_credit -= 1
    if link._received_payload:
        link._received_payload.extend(end)
        end = bytes(link._received_payload)
        link._received_payload = bytearray()
    consumer._message_buffer.append(end)
    _pace.take()


def _consumer_of(link: Any) -> Any:
    """The consumer of a hub that gets the messages of `link`; None where that is something else of the SDK."""
    callback = getattr(getattr(link._on_transfer, "__self__", None), "_message_received_callback", None)
    if isinstance(callback, partial) and callback.func is PyamqpTransportAsync.message_received_async:
        return callback.args[0]
    return None


def _giving_messages(next_message: _NextMessage) -> _NextMessage:
    @wraps(next_message)
    def give(consumer: Any) -> EventData:
        if not isinstance(consumer._message_buffer[0], bytes):
            return next_message(consumer)
        event = consumer._last_received_event = ReceivedEvent(consumer._message_buffer.popleft())
        return event

    return give
