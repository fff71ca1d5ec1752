"""Chunks of a descriptor, and a loop that ends before all are read."""

import asyncio
import os
import threading

from songline.sending.streams import chunks


async def _first(descriptor: int) -> bytes:
    return await anext(aiter(chunks(descriptor)))


def test_a_loop_that_ends_early_leaves_no_coroutine_behind() -> None:
    # The thread meets the loop in any state, also while it is closed: a warning is an error here.
    for _ in range(200):
        readable, writable = os.pipe()
        os.write(writable, b"first\n")
        os.close(writable)
        assert asyncio.run(_first(readable)) == b"first\n"
        for thread in threading.enumerate():
            if thread.name == f"read {readable}":
                thread.join(10)
        os.close(readable)


async def test_all_chunks_come_in_order_however_slowly_they_are_taken() -> None:
    readable, writable = os.pipe()
    sent = [bytes([number]) * 40_000 for number in range(20)]

    def write() -> None:
        with os.fdopen(writable, "wb", 0) as pipe:
            for part in sent:
                pipe.write(part)

    thread = threading.Thread(target=write)
    thread.start()
    received = [chunk async for chunk in chunks(readable)]
    thread.join(10)
    os.close(readable)
    assert b"".join(received) == b"".join(sent)
