"""Asynchronous reads of a file or a pipe."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

_CHUNK = 1 << 16
_AHEAD = 4


async def chunks(descriptor: int) -> AsyncIterator[bytes]:
    """The bytes read from `descriptor`, chunk by chunk, until its end; raises OSError.

    A thread reads at most _AHEAD chunks ahead, because a pipe may be silent for hours. The thread is a daemon and
    reads the descriptor itself, so that it doesn't delay the end of the process.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def read() -> None:
        # The loop may be closed while this thread still waits for input; RuntimeError says so. A coroutine that is
        # never awaited would cause a warning, so the thread schedules a plain call.
        with suppress(RuntimeError):
            while True:
                room.acquire()
                try:
                    chunk: bytes | OSError = os.read(descriptor, _CHUNK)
                except OSError as error:
                    chunk = error
                loop.call_soon_threadsafe(queue.put_nowait, chunk)
                if not chunk or isinstance(chunk, OSError):
                    return

    threading.Thread(target=read, name=f"read {descriptor}", daemon=True).start()
    while chunk := await queue.get():
        room.release()
        if isinstance(chunk, OSError):
            raise chunk
        yield chunk
