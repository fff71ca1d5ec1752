"""How events are taken from what a connection has in memory, beside what the SDK reads by itself."""

import asyncio
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from azure.eventhub import EventData
from azure.eventhub._pyamqp._decode import decode_payload
from azure.eventhub.aio import _client_base_async as opening
from azure.eventhub.aio._transport._pyamqp_transport_async import PyamqpTransportAsync
from hypothesis import given
from hypothesis import strategies as st

from localcloud.amqp.types import Char, Symbol, Uint
from songline.cloud import eventhub_frames
from songline.cloud.eventhub_frames import ReceivedEvent
from songline.cloud.eventhub_messages import read_event
from tests.unit.cloud.test_eventhub_messages import APPLICATION, AT, DATA, HUB, KEY, frame, message

FLOW = frame(0, 0, b"", b"").replace(b"\x00\x53\x14", b"\x00\x53\x13")


class _Client:
    def __init__(self, consumer: Any) -> None:
        self._message_received_callback = partial(PyamqpTransportAsync.message_received_async, consumer)

    async def _message_received_async(self, frame: Any, message: Any) -> None: ...


class _Connection:
    """A connection with a session on channel 1 and, at handle 0, the link of a consumer with so much credit."""

    def __init__(self, credit: int = 1_000, window: int = 65_536) -> None:
        self.consumer = SimpleNamespace(_message_buffer=[])
        self.client = _Client(self.consumer)
        self.link = SimpleNamespace(
            _on_transfer=self.client._message_received_async,
            _received_payload=bytearray(),
            delivery_count=0,
            current_link_credit=credit,
            received_delivery_id=None,
        )
        self.session = SimpleNamespace(
            next_incoming_id=5, remote_outgoing_window=9_000, incoming_window=window, _input_handles={0: self.link}
        )
        self._incoming_endpoints = {1: self.session}
        self._transport = SimpleNamespace(
            reader=asyncio.StreamReader(), _read_buffer=BytesIO(), socket_lock=asyncio.Lock()
        )
        self._last_frame_received_time = 0.0

    def _can_read(self) -> bool:
        return True

    def arrive(self, *frames: bytes) -> None:
        self._transport.reader.feed_data(b"".join(frames))

    @property
    def taken(self) -> list[bytes]:
        found: list[bytes] = self.consumer._message_buffer
        return found

    @property
    def left(self) -> bytes:
        return bytes(self._transport.reader._buffer)


def transfers(first: int, count: int) -> list[bytes]:
    return [frame(0, number, b"tag", b"%d" % number) for number in range(first, first + count)]


def listening(reads: list[int]) -> Any:
    """What reads a frame, over an SDK that counts its own reads and finds nothing."""

    async def read_frame(connection: Any, wait: float = 0, **_: Any) -> bool:
        reads.append(1)
        await asyncio.sleep(0)
        return True

    return eventhub_frames._taking_what_arrived(read_frame)


async def test_all_that_has_arrived_whole_is_taken_at_once() -> None:
    connection, reads = _Connection(), list[int]()
    half = frame(0, 9, b"tag", b"half")
    connection.arrive(*transfers(0, 3), half[:-1])
    assert await listening(reads)(connection, wait=0.2)
    assert (connection.taken, connection.left, reads) == ([b"0", b"1", b"2"], half[:-1], [])
    assert (connection.link.delivery_count, connection.link.current_link_credit) == (3, 997)
    assert connection.link.received_delivery_id == 2
    session = connection.session
    assert (session.next_incoming_id, session.remote_outgoing_window, session.incoming_window) == (8, 8_997, 65_533)
    assert connection._last_frame_received_time > 0


async def test_what_is_no_event_of_a_consumer_is_the_sdks() -> None:
    for other in (FLOW, frame(1, 3, b"", b"x"), frame(0, 3, b"", b"x", channel=2), frame(0, 3, b"", b"x", more=True)):
        connection, reads = _Connection(), list[int]()
        connection.arrive(*transfers(0, 3), other, *transfers(4, 1))
        read = listening(reads)
        assert await read(connection)
        assert await read(connection)
        assert (connection.taken, reads) == ([b"0", b"1", b"2"], [1])
        assert connection.left.startswith(other)


async def test_the_answers_of_a_management_link_are_the_sdks() -> None:
    connection, reads = _Connection(), list[int]()
    connection.link._on_transfer = partial(print)
    connection.arrive(*transfers(0, 1))
    assert await listening(reads)(connection)
    assert (connection.taken, reads) == ([], [1])


async def test_the_last_frame_of_a_window_is_the_sdks() -> None:
    connection, reads = _Connection(window=3), list[int]()
    connection.arrive(*transfers(0, 3))
    read = listening(reads)
    assert await read(connection)
    assert await read(connection)
    assert (connection.taken, reads) == ([b"0", b"1"], [1])


async def test_a_round_goes_on_while_much_has_arrived_and_there_is_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [frame(0, number, b"tag", b"x" * 1_000) for number in range(100)]
    connection = _Connection()
    take = eventhub_frames._take_arrived

    async def taking_while_more_comes(given: Any) -> Any:
        link = await take(given)
        connection.arrive(*many)
        return link

    monkeypatch.setattr(eventhub_frames, "_take_arrived", taking_while_more_comes)
    connection.arrive(*many)
    assert not await listening([])(connection)
    connection.link.current_link_credit = 100
    assert await listening([])(connection)


async def test_nothing_overtakes_a_frame_that_the_sdk_reads() -> None:
    connection = _Connection()
    reads, go_on = list[int](), asyncio.Event()

    async def read_frame(connection: Any, wait: float = 0, **_: Any) -> bool:
        reads.append(1)
        await go_on.wait()
        return False

    read = eventhub_frames._taking_what_arrived(read_frame)
    first = asyncio.create_task(read(connection))
    await asyncio.sleep(0)
    connection.arrive(*transfers(0, 2))
    second = asyncio.create_task(read(connection))
    await asyncio.sleep(0)
    assert (len(reads), connection.taken) == (2, [])
    go_on.set()
    await asyncio.gather(first, second)
    await read(connection)
    assert connection.taken == [b"0", b"1"]


async def test_nothing_is_taken_behind_a_frame_that_has_begun_or_under_another_lock() -> None:
    connection, reads = _Connection(), list[int]()
    connection.arrive(*transfers(0, 1))
    connection._transport._read_buffer = BytesIO(b"half")
    await listening(reads)(connection)
    connection._transport._read_buffer.read()
    async with connection._transport.socket_lock:
        await listening(reads)(connection)
    assert (connection.taken, reads) == ([], [1, 1])
    await listening(reads)(connection)
    assert connection.taken == [b"0"]


async def test_a_transport_that_is_not_known_is_left_to_the_sdk() -> None:
    connection, reads = _Connection(), list[int]()
    connection._transport = SimpleNamespace(socket_lock=asyncio.Lock())
    assert await listening(reads)(connection)
    assert reads == [1]


async def test_a_message_of_several_frames_is_put_together() -> None:
    connection, reads = _Connection(), list[int]()

    async def by_sdk(link: Any, frame: list[Any]) -> None:
        raise AssertionError("the consumer's transfers are taken here")

    take = eventhub_frames._taking_messages(by_sdk)
    for number, more, payload in ((7, True, b"on"), (None, True, b"c")):
        await take(connection.link, [0, number, b"", 0, True, more, None, None, None, None, None, memoryview(payload)])
    # The last part looks like a message of its own.
    connection.arrive(frame(0, 7, b"", b"e"), *transfers(8, 1))
    await listening(reads)(connection)
    assert connection.taken == [b"once", b"8"]
    assert (connection.link.delivery_count, connection.link.current_link_credit) == (2, 998)
    await take(connection.link, [0, 9, b"", 0, True, False, None, None, None, None, None, memoryview(b"whole")])
    assert connection.taken[2:] == [b"whole"]


async def test_a_delivery_that_the_hub_gives_up_is_no_message() -> None:
    connection = _Connection()
    take = eventhub_frames._taking_messages(connection.client._message_received_async)
    for is_more, is_aborted, payload in ((True, None, b"half of one"), (False, True, b""), (False, False, b"whole")):
        fields = [0, 7, b"", 0, True, is_more, None, None, None, is_aborted, None, memoryview(payload)]
        await take(connection.link, fields)
    assert connection.taken == [b"whole"]
    assert (connection.link.delivery_count, connection.link.current_link_credit) == (2, 998)


def test_an_event_is_decoded_when_it_is_asked() -> None:
    encoded = message({**HUB, **KEY, Symbol("x-opt-kafka-key"): b"k"}, (APPLICATION, {"a": 1}), (DATA, b"{}"))
    event, by_sdk = ReceivedEvent(encoded), EventData._from_message(decode_payload(memoryview(encoded)))
    assert vars(event) == {"message_bytes": encoded, "fields": read_event(encoded)}
    assert event.sequence_number == by_sdk.sequence_number == 1187
    assert event.enqueued_time == by_sdk.enqueued_time == AT
    assert event.offset == by_sdk.offset == "4711"
    assert "_raw_amqp_message" not in vars(event)
    assert event.partition_key == by_sdk.partition_key == b"user-3"
    assert event.properties == by_sdk.properties == {b"a": 1}
    assert event.system_properties == by_sdk.system_properties
    assert event.body_as_str() == by_sdk.body_as_str() == "{}"
    assert (str(event), repr(event)) == (str(by_sdk), repr(by_sdk))
    assert event.raw_amqp_message.annotations == by_sdk.raw_amqp_message.annotations
    assert not hasattr(event, "no_such_field")


def test_where_to_begin_again_is_known_also_of_an_event_that_the_sdk_can_not_decode() -> None:
    event = ReceivedEvent(message(HUB, (APPLICATION, {"x": Char("x")}), (DATA, b"{}")))
    assert (event.sequence_number, event.offset, event.enqueued_time) == (1187, "4711", AT)
    with pytest.raises(TypeError):
        event.properties  # noqa: B018
    assert str(event)


def test_an_event_in_an_unusual_form_is_the_sdks() -> None:
    encoded = message({**HUB, Symbol("x-opt-sequence-number"): Uint(7)}, (DATA, b"{}"))
    event = ReceivedEvent(encoded)
    assert event.fields is None
    assert (event.sequence_number, event.offset, event.enqueued_time) == (7, "4711", AT)


def test_the_installed_sdk_is_the_one_that_is_known() -> None:
    assert eventhub_frames.install()
    assert eventhub_frames.install()


@given(st.floats(0, 1e6), st.sampled_from([0.05, 0.25, 1.0]))
def test_all_who_sleep_as_long_wake_together(now_s: float, delay_s: float) -> None:
    pause_s = eventhub_frames.pause_together_s(now_s, delay_s)
    assert 0.49 * delay_s < pause_s < 1.51 * delay_s
    assert abs((now_s + pause_s) / delay_s - round((now_s + pause_s) / delay_s)) < 1e-3


def test_rounds_are_further_apart_while_few_events_come() -> None:
    pace, sdk_s, now_s = eventhub_frames.RoundPace(), 0.05, 100.0
    assert pace.delay_s(now_s, sdk_s) == sdk_s
    for _ in range(eventhub_frames.FEW - 1):
        pace.take()
    almost_s = now_s + eventhub_frames.QUIET_AFTER_S - sdk_s
    assert pace.delay_s(almost_s, sdk_s) == sdk_s, "that so few have come is not known before QUIET_AFTER_S"
    now_s += eventhub_frames.QUIET_AFTER_S
    assert pace.delay_s(now_s, sdk_s) == eventhub_frames.QUIET_S
    assert pace.delay_s(now_s, 1.0) == 1.0, "what is longer stays so"
    for _ in range(eventhub_frames.FEW):
        pace.take()
    now_s += sdk_s
    assert pace.delay_s(now_s, sdk_s) == sdk_s, "that many have come is known at once"


def test_a_reader_that_folds_what_it_has_taken_is_not_quiet() -> None:
    pace, sdk_s, now_s = eventhub_frames.RoundPace(), 0.05, 100.0
    for _ in range(10):
        for _ in range(eventhub_frames.FEW):
            pace.take()
        # It takes nothing while it folds and writes.
        for _ in range(5):
            now_s += 0.25
            assert pace.delay_s(now_s, sdk_s) == sdk_s


async def test_a_round_without_a_frame_ends_at_once_and_the_sdk_listens_now_and_then() -> None:
    connection, listened, now_s = _Connection(), [], 100.0
    client: Any = connection.client
    client._connection, client._link = connection, connection.link

    async def listen(client: Any) -> bool:
        listened.append(client)
        return True

    run = eventhub_frames._ending_at_once(listen, lambda: now_s)

    async def rounds() -> int:
        before = len(listened)
        for _ in range(3):
            assert await run(client)
        return len(listened) - before

    assert await rounds() == 1, "only the first one listens"
    now_s += eventhub_frames.LISTEN_S
    assert await rounds() == 1, "so long after it once more"
    connection.link.current_link_credit = 0
    assert await rounds() == 3, "more credit is to be given"
    connection.link.current_link_credit = 1_000
    assert await rounds() == 0
    connection.arrive(transfers(0, 1)[0][:5])
    assert await rounds() == 3, "a part of a frame has arrived"
    connection._transport.reader = asyncio.StreamReader()
    assert await rounds() == 0
    connection._transport.reader.feed_eof()
    assert await rounds() == 3, "the hub has closed the connection"
    connection._transport.reader = asyncio.StreamReader()
    connection._transport.reader.set_exception(ConnectionResetError())
    assert await rounds() == 3, "the connection is broken"
    connection._transport = SimpleNamespace(ws=None)
    assert await rounds() == 3, "a WebSocket is the SDK's"


async def test_a_round_of_a_management_link_is_the_sdks() -> None:
    connection, listened = _Connection(), []
    connection.link._on_transfer = None
    client: Any = _Client(None)
    client._connection, client._link = connection, connection.link

    async def listen(client: Any) -> bool:
        listened.append(client)
        return False

    run = eventhub_frames._ending_at_once(listen)
    assert [await run(client) for _ in range(3)] == [False] * 3
    assert len(listened) == 3


async def test_a_link_that_is_being_opened_is_looked_at_ten_times_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    assert eventhub_frames.install()
    monkeypatch.setattr(asyncio, "sleep", sleep := AsyncMock())
    handler = AsyncMock()
    handler.client_ready_async.side_effect = [False, False, True]
    client = AsyncMock()
    client._amqp_transport = SimpleNamespace(get_remote_max_message_size=lambda _: 1)
    consumer: Any = SimpleNamespace(
        running=False, _handler=handler, _create_handler=lambda _: None, _internal_kwargs={}, _client=client
    )
    await opening.ConsumerProducerMixin._open(consumer)
    assert consumer.running
    backing_off: Any = opening
    await backing_off.asyncio.sleep(0.8)
    assert [call.args for call in sleep.await_args_list] == [(0.005,), (0.005,), (0.8,)]
