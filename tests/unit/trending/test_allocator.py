"""Memory that is free goes back to the system."""

import ctypes
import os

import pytest

from bench.trending_memory import memory_bytes
from songline.processors.trending.allocator import release_free_memory

BLOCK_BYTES = 64_000
"""Less than glibc maps by itself."""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_holes_between_what_is_held_are_given_back() -> None:
    blocks = [bytearray(b"x" * BLOCK_BYTES) for _ in range(2_000)]
    del blocks[::2]
    before = resident()
    assert release_free_memory()
    assert before - resident() > 1_000 * BLOCK_BYTES // 2
    assert len(blocks) == 1_000


def resident() -> int:
    return memory_bytes(os.getpid(), "VmRSS")
