"""Memory that is free goes back to the system, and threads share one heap."""

import ctypes
import os
import subprocess
import sys

import pytest

from bench.trending_memory import memory_bytes
from songline.processors.runtime.allocator import HEAPS, release_free_memory

BLOCK_BYTES = 64_000
"""Less than glibc maps by itself."""


pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")

_ALLOCATE = """
import ctypes, threading
from songline.processors.runtime.allocator import share_heap
share_heap()
import numpy
all_there = threading.Barrier(6)
def work():
    block = bytearray(100_000)
    all_there.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.parametrize(("environment", "is_shared"), [({}, True), ({HEAPS: "4"}, False)])
def test_threads_share_a_heap_unless_the_environment_says_otherwise(
    environment: dict[str, str], is_shared: bool
) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != HEAPS}
    command = [sys.executable, "-c", _ALLOCATE]
    ran = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=True)
    assert "Arena 0" in ran.stderr
    assert (ran.stderr.count("Arena ") == 1) == is_shared


def test_holes_between_what_is_held_are_given_back() -> None:
    blocks = [bytearray(b"x" * BLOCK_BYTES) for _ in range(2_000)]
    del blocks[::2]
    before = resident()
    assert release_free_memory()
    assert before - resident() > 1_000 * BLOCK_BYTES // 2
    assert len(blocks) == 1_000


def resident() -> int:
    return memory_bytes(os.getpid(), "VmRSS")
