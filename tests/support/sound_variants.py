"""Sound in every container and codec that FFmpeg and libsndfile write, into files and into pipes, and as long as FFmpeg
says."""

import io
from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np
import soundfile

from tests.support.odd_audio import encoded

SECONDS = 2.5
# (container, codec, by how many milliseconds FFmpeg's own length may differ from ours).
WRITTEN = (
    *(("wav", codec, 1) for codec in ("pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_alaw", "pcm_mulaw", "pcm_u8")),
    *(("wav", codec, 1) for codec in ("adpcm_ms", "adpcm_ima_wav", "libmp3lame")),
    *(
        ("w64", "pcm_s16le", 1),
        ("au", "pcm_s16be", 1),
        ("au", "pcm_mulaw", 1),
        ("caf", "pcm_s16be", 1),
        ("caf", "alac", 1),
    ),
    *(("aiff", codec, 1) for codec in ("pcm_s16be", "pcm_s24be", "pcm_mulaw", "adpcm_ima_qt")),
    *(("flac", "flac", 1), ("ogg", "flac", 1), ("ogg", "vorbis", 1), ("wv", "wavpack", 1), ("tta", "tta", 1)),
    # FFmpeg counts what a player of Opus skips at the beginning.
    ("ogg", "libopus", 8),
    *(("mp3", "libmp3lame", 1), ("mp2", "mp2", 1), ("ac3", "ac3", 1)),
    # FFmpeg guesses these by their bit rates.
    *(("adts", "aac", 60), ("eac3", "eac3", 60)),
    *(("mp4", codec, 1) for codec in ("aac", "libmp3lame", "flac", "libopus", "ac3")),
    *(("ipod", "alac", 1), ("mov", "pcm_s16le", 1), ("mov", "aac", 1), ("3gp", "aac", 1)),
    *(("matroska", codec, 1) for codec in ("libopus", "flac", "aac", "pcm_s16le", "libmp3lame", "wavpack")),
    ("webm", "libopus", 1),
)
PIPED = ("wav", "au", "flac", "ogg", "mp3", "adts", "ac3", "matroska", "webm", "caf", "aiff")
SNDFILE = ("WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "W64", "FLAC", "OGG", "MP3")


class Variant(NamedTuple):
    """A file, its length in milliseconds, and by how much ours may differ."""

    name: str
    content: bytes
    lengths_ms: tuple[float, ...]
    tolerance_ms: float


def by_ffmpeg(rate: int) -> Iterator[Variant]:
    """Every container and codec at `rate` samples a second, as far as they take it."""
    for container, codec, tolerance_ms in WRITTEN:
        try:
            content = encoded(container, codec, SECONDS, rate=rate, options={"strict": "experimental"})
        except (av.error.FFmpegError, ValueError):
            continue
        yield Variant(f"{container} {codec} {rate}", content, lengths_ms(content), tolerance_ms)


def by_ffmpeg_into_pipes(rate: int) -> Iterator[Variant]:
    """The containers that can be streamed. Codecs fill their last block, and may add one before the first."""
    for container, codec, _ in WRITTEN:
        if container not in PIPED:
            continue
        try:
            content = encoded(container, codec, SECONDS, rate=rate, can_seek=False, options={"strict": "experimental"})
        except (av.error.FFmpegError, ValueError):
            continue
        yield Variant(f"{container} {codec} {rate} into a pipe", content, (SECONDS * 1000,), 200)


def by_sndfile(rate: int) -> Iterator[Variant]:
    """Every subtype of libsndfile's containers."""
    wave = np.sin(np.arange(int(SECONDS * rate)) / 20) * 0.3
    for container in SNDFILE:
        for subtype in soundfile.available_subtypes(container):
            target = io.BytesIO()
            try:
                soundfile.write(target, wave, rate, format=container, subtype=subtype)
            except (soundfile.LibsndfileError, ValueError):
                continue
            # Blocks of ADPCM are filled up.
            tolerance_ms = 70 if "ADPCM" in subtype or subtype.startswith("G72") else 1
            yield Variant(f"{container} {subtype} {rate}", target.getvalue(), (SECONDS * 1000,), tolerance_ms)


def lengths_ms(content: bytes) -> tuple[float, ...]:
    """The lengths of the file and of its first stream of sound, as ffprobe tells them."""
    with av.open(io.BytesIO(content), "r") as file:
        stream = file.streams.audio[0]
        of_stream = None if stream.duration is None or stream.time_base is None else stream.duration * stream.time_base
        found = (file.duration and file.duration / 1000, None if of_stream is None else float(of_stream) * 1000)
    return tuple(length for length in found if length)
