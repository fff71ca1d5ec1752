"""How the SDK reads frames: what is in memory without a timer, all else as it does by itself."""

import asyncio
from io import BytesIO
from typing import Any

import pytest

from songline.cloud import eventhub_frames

FRAME = (16).to_bytes(4, "big") + bytes(12)


class _Reader:
    def __init__(self, arrived: bytes) -> None:
        self._buffer = bytearray(arrived)


class _Transport:
    def __init__(self, arrived: bytes, begun: bytes = b"", read: int = 0) -> None:
        self.socket_lock = asyncio.Lock()
        self.reader = _Reader(arrived)
        self._read_buffer = BytesIO(begun)
        self._read_buffer.seek(read)


class _UnknownTransport:
    """Has none of the names that are known."""


@pytest.mark.parametrize(
    ("transport", "passed_on"),
    [
        (_Transport(FRAME), None),
        (_Transport(FRAME + FRAME[:5]), None),
        (_Transport(FRAME, begun=b"gone", read=4), None),
        (_Transport(b""), 0.2),
        (_Transport(FRAME[:7]), 0.2),
        (_Transport(FRAME[:15]), 0.2),
        (_Transport(FRAME, begun=b"half"), 0.2),
        (_UnknownTransport(), 0.2),
    ],
)
async def test_only_a_frame_that_has_arrived_is_read_without_a_timer(
    transport: object, passed_on: float | None
) -> None:
    seen: list[float | None] = []

    async def receive(transport: object, **options: Any) -> tuple[object, object]:
        seen.append(options["timeout"])
        return None, options["kept"]

    assert await eventhub_frames._without_timer(receive)(transport, timeout=0.2, kept=1) == (None, 1)
    assert seen == [passed_on]


class _SharedTransport:
    """Frames that two tasks read, as the SDK's transport gives them out: under a lock, and under `wait_for`."""

    def __init__(self) -> None:
        self.reader = _Reader(b"")
        self._read_buffer = BytesIO()
        self.socket_lock = asyncio.Lock()
        self._arrived = asyncio.Event()

    def arrive(self, frames: int) -> None:
        self.reader._buffer += FRAME * frames
        self._arrived.set()

    async def read(self) -> int:
        async with self.socket_lock:
            while not self.reader._buffer:
                self._arrived.clear()
                await self._arrived.wait()
            del self.reader._buffer[: len(FRAME)]
            self.taken = getattr(self, "taken", -1) + 1
            return self.taken


async def test_frames_keep_their_order_between_the_two_tasks_that_read() -> None:
    transport = _SharedTransport()
    seen: list[int] = []

    async def receive(transport: _SharedTransport, **options: Any) -> tuple[object, object]:
        return None, await asyncio.wait_for(transport.read(), options["timeout"])

    receive_frame = eventhub_frames._without_timer(receive)

    async def listen(frames: int) -> None:
        for _ in range(frames):
            _, number = await receive_frame(transport, timeout=5.0)
            seen.append(number)

    for turns in range(6):
        before = len(seen)
        first = asyncio.create_task(listen(3))
        for _ in range(4):
            await asyncio.sleep(0)
        transport.arrive(6)
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.gather(first, asyncio.create_task(listen(3)))
        assert seen[before:] == list(range(before, before + 6)), turns


async def test_no_task_waits_without_a_timer_for_a_frame_that_the_other_one_took() -> None:
    transport = _SharedTransport()

    async def receive(transport: _SharedTransport, **options: Any) -> tuple[object, object]:
        try:
            return None, await asyncio.wait_for(transport.read(), options["timeout"])
        except TimeoutError:
            return None, None

    receive_frame = eventhub_frames._without_timer(receive)
    transport.arrive(1)
    async with transport.socket_lock:
        # A write that the peer is slow to take: both tasks find the frame, and wait.
        tasks = [asyncio.ensure_future(receive_frame(transport, timeout=0.2)) for _ in range(2)]
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*tasks) == [(None, 0), (None, None)]


def test_the_installed_sdk_is_the_one_that_is_known() -> None:
    assert eventhub_frames.install()
    assert eventhub_frames.install()
