"""The allocator's arenas, as glibc itself counts them."""

import ctypes
import os
import subprocess
import sys

import pytest

from localcloud.allocator import ARENAS

_ALLOCATE = """
import ctypes, threading
from localcloud.allocator import share_arena
print(share_arena())
all_there = threading.Barrier(6)
def work():
    block = bytearray(100_000)
    all_there.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def run(**environment: str) -> tuple[str, int]:
    """What `share_arena` said in a process of six threads, and how many arenas these made."""
    inherited = {name: value for name, value in os.environ.items() if name != ARENAS}
    command = [sys.executable, "-c", _ALLOCATE]
    ran = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=True)
    return ran.stdout.strip(), ran.stderr.count("Arena ")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="the C library is not glibc")
def test_threads_share_an_arena_unless_the_environment_says_otherwise() -> None:
    assert run() == ("True", 1)
    said, arenas = run(**{ARENAS: "4"})
    assert (said, arenas > 1) == ("False", True)
