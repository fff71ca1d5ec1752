"""Memory that is free goes back to the system, and threads share one heap."""

import ctypes
import os
import re
import subprocess
import sys

import pytest

from bench.trending_memory import memory_bytes
from songline.processors.runtime.allocator import HEAPS, MAPPED, free_memory_released, release_free_memory
from tests.support.waiting import wait_for_async

BLOCK_BYTES = 64_000
"""Less than glibc maps by itself."""


pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")

_ALLOCATE = """
import ctypes, threading
from songline.processors.runtime.allocator import bound_heap
bound_heap()
import numpy
all_there = threading.Barrier(6)
def work():
    block = bytearray(100_000)
    all_there.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
bytearray(8_000_000)
pieces = [bytearray(1_000_000) for _ in range(40)]
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.parametrize(
    ("environment", "is_shared", "is_mapped"),
    [({}, True, True), ({HEAPS: "4"}, False, True), ({MAPPED: "10000000"}, True, False)],
)
def test_threads_share_a_heap_and_large_pieces_are_mapped_unless_the_environment_says_otherwise(
    environment: dict[str, str], is_shared: bool, is_mapped: bool
) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in (HEAPS, MAPPED)}
    command = [sys.executable, "-c", _ALLOCATE]
    ran = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=True)
    assert "Arena 0" in ran.stderr
    assert (ran.stderr.count("Arena ") == 1) == is_shared
    mapped = re.search(r"max mmap regions = +(\d+)", ran.stderr)
    assert mapped is not None, ran.stderr
    assert (int(mapped[1]) >= 40) == is_mapped


def test_holes_between_what_is_held_are_given_back() -> None:
    blocks = [bytearray(b"x" * BLOCK_BYTES) for _ in range(2_000)]
    del blocks[::2]
    before = resident()
    assert release_free_memory()
    assert before - resident() > 1_000 * BLOCK_BYTES // 2
    assert len(blocks) == 1_000


async def test_they_are_given_back_by_the_clock() -> None:
    async with free_memory_released(pause_s=0.01):
        blocks = [bytearray(b"x" * BLOCK_BYTES) for _ in range(2_000)]
        full = resident()
        del blocks[::2]

        async def is_smaller() -> bool:
            return full - resident() > 1_000 * BLOCK_BYTES // 2

        await wait_for_async(is_smaller, "free memory to be given back", 10.0)
    assert len(blocks) == 1_000


def resident() -> int:
    return memory_bytes(os.getpid(), "VmRSS")
