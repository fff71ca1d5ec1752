"""The allocator's arenas and mappings, as glibc itself counts them."""

import ctypes
import os
import re
import subprocess
import sys

import pytest

from localcloud.allocator import ARENAS, MAPPED

_ALLOCATE = """
import ctypes, threading
from localcloud.allocator import bound_heap
bound_heap()
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

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="the C library is not glibc")


def run(**environment: str) -> tuple[int, int]:
    """How many arenas a process of six threads made, and how many mappings there were at once in it."""
    inherited = {name: value for name, value in os.environ.items() if name not in (ARENAS, MAPPED)}
    command = [sys.executable, "-c", _ALLOCATE]
    ran = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=True)
    mapped = re.search(r"max mmap regions = +(\d+)", ran.stderr)
    assert mapped is not None, ran.stderr
    return ran.stderr.count("Arena "), int(mapped[1])


def test_threads_share_an_arena_and_large_pieces_are_mapped_after_one_was_freed() -> None:
    arenas, mapped = run()
    assert arenas == 1
    assert mapped >= 40


def test_the_environment_may_say_otherwise() -> None:
    arenas, mapped = run(**{ARENAS: "4", MAPPED: "10000000"})
    assert arenas > 1
    assert mapped < 40
