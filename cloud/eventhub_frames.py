"""What knows azure-eventhub's inside: frames that have arrived already are taken without a timer for each.

The SDK reads each frame, and so each event, under `asyncio.wait_for`. In Python 3.11 that makes a task and a timer:
two fifths of the CPU that receiving an event costs. A frame that is in memory as a whole needs neither.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

from azure.eventhub._pyamqp.aio import _transport_async

KNOWN_VERSION = "5.15.1"
"""The version of azure-eventhub that this was read against. Another one reads frames in its own way."""

_HEADER_BYTES = 8
_ReceiveFrame = Callable[..., Awaitable[tuple[Any, Any]]]


def install() -> bool:
    """Replace how the SDK receives frames, once; return whether that is so. Without it all works, at a higher cost."""
    reading: Any = _transport_async.AsyncTransportMixin
    receive: _ReceiveFrame = reading.receive_frame
    if hasattr(receive, "__wrapped__"):
        return True
    if version("azure-eventhub") != KNOWN_VERSION:
        return False
    reading.receive_frame = _without_timer(receive)
    return True


def _without_timer(receive: _ReceiveFrame) -> _ReceiveFrame:
    # How many reads with a timer each transport has. The SDK reads in two tasks, one of which keeps the connection
    # alive. A timed read hands on its frame some turns of the loop after it took it: another one would overtake it.
    timed: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    @wraps(receive)
    async def receive_frame(transport: Any, timeout: float | None = None, **options: Any) -> tuple[Any, Any]:  # noqa: ASYNC109 - the SDK's
        if not timed.get(transport) and _is_free(transport) and _has_whole_frame(transport):
            return await receive(transport, timeout=None, **options)
        timed[transport] = timed.get(transport, 0) + 1
        try:
            return await receive(transport, timeout=timeout, **options)
        finally:
            timed[transport] -= 1

    return receive_frame


def _is_free(transport: Any) -> bool:
    """Whether a read gets the transport's lock at once. One that waits for it, behind a write, may find that the other
    task has taken the frame: without a timer it would hold the lock until the next frame comes, and nothing is sent."""
    lock = getattr(transport, "socket_lock", None)
    return lock is not None and not lock.locked() and not lock._waiters


def _has_whole_frame(transport: Any) -> bool:
    """Whether the next frame is in memory: the four bytes that it begins with are its size."""
    arrived = getattr(getattr(transport, "reader", None), "_buffer", b"")
    begun = getattr(transport, "_read_buffer", None)
    if begun is None or len(arrived) < _HEADER_BYTES or begun.tell() < begun.getbuffer().nbytes:
        return False
    return bool(len(arrived) >= int.from_bytes(arrived[:4], "big"))
