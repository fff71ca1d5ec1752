"""Reading a file or a pipe without holding up everything else."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import suppress

_CHUNK = 1 << 16
_AHEAD = 4


async def chunks(descriptor: int) -> AsyncIterator[bytes]:
    """What can be read from `descriptor`, as it comes, until its end; raises OSError.

    A thread of its own reads, at most some chunks ahead: a pipe may be silent for hours. The thread is a daemon and
    reads the descriptor itself, so that it stands in nobody's way when the process ends.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(_AHEAD)

    def read() -> None:
        # The loop may end while this thread still waits for input, or for room.
        with suppress(CancelledError, RuntimeError):
            while True:
                try:
                    chunk: bytes | OSError = os.read(descriptor, _CHUNK)
                except OSError as error:
                    chunk = error
                asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()
                if not chunk or isinstance(chunk, OSError):
                    return

    threading.Thread(target=read, name=f"read {descriptor}", daemon=True).start()
    while chunk := await queue.get():
        if isinstance(chunk, OSError):
            raise chunk
        yield chunk
