"""The allocator is set as the worker wants it, unless the environment has settings of its own."""

import subprocess
import sys

from songline.processors.trending.allocator import LARGE_BYTES, map_large_pieces

GIVEN_BACK = f"""
import numpy as np
from songline.processors.trending.allocator import map_large_pieces


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


assert map_large_pieces({{}})
np.ones({64 * 1024 * 1024}, np.uint8)
before = resident_bytes()
# Pieces between which something stays: in an arena, nothing of them would be given back.
pieces = [np.ones({LARGE_BYTES} * (1 + number % 2), np.uint8) for number in range(1_000)]
kept = [bytearray(2_000) for _ in pieces]
del pieces
print(resident_bytes() - before)
"""


def test_large_pieces_are_given_back_when_they_are_freed() -> None:
    said = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True, timeout=60)
    assert int(said.stdout) < 20_000_000


def test_settings_of_the_environment_hold() -> None:
    assert not map_large_pieces({"MALLOC_ARENA_MAX": "4"})
