"""What a reader of a format finds in a file."""

from typing import NamedTuple, TypeAlias

from songline.processors.ingestion.audio.formats import Format
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError

RATES = range(1_000, 6_000_000)
"""Samples a second: well below a telephone's, and more than one-bit sound (DSD) needs."""

RawTags: TypeAlias = dict[str, list[str]]
"""What tags say, as it stands there, by `title`, `artist`, `album_artist`, `album` and `genre`."""


class Sound(NamedTuple):
    """Its format, seconds, what its tags say, and what the song's owner should know of it."""

    format: Format
    seconds: float
    tags: RawTags
    note: str | None = None


def bad_rate(rate: int, channels: int = 1) -> InvalidAudioError:
    """The refusal of a file whose header says what no sound is like."""
    return InvalidAudioError("corrupt", f"The file is damaged: it says it has {channels} channels at {rate} Hz.")
