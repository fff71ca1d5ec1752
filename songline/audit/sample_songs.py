"""Files that an audit uploads: sound that is whole, cut off, or no sound at all, from a seed. Pure."""

import io
import math
import random
import wave
from array import array
from collections.abc import Iterator
from itertools import count

from msgspec import Struct

RATE = 8_000


class SampleSong(Struct, frozen=True):
    """A file, and what must become of it: `ready`, or the cause of its rejection."""

    content: bytes
    outcome: str


def sample_songs(seed: int) -> Iterator[SampleSong]:
    """Files without end, no two alike; one in five is broken."""
    chance = random.Random(f"songs {seed}")
    for number in count():
        whole = tone(chance.uniform(0.2, 0.8), chance.uniform(200, 2_000), chance.uniform(0.1, 0.9))
        match number % 10:
            case 3:
                yield SampleSong(whole[: len(whole) // 2], "cut-off")
            case 8:
                yield SampleSong(b"?" + chance.randbytes(2_000).replace(b"\xff", b"\0"), "not-audio")
            case _:
                yield SampleSong(whole, "ready")


def tone(seconds: float, hertz: float, loudness: float) -> bytes:
    """A tone as a WAV file, in 16 bits and one channel."""
    step, height = 2 * math.pi * hertz / RATE, loudness * 32_000
    samples = array("h", (int(height * math.sin(step * number)) for number in range(int(seconds * RATE))))
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return target.getvalue()
