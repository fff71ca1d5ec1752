"""Real audio in every format that songs come in, made by FFmpeg, and by libsndfile where FFmpeg lacks an encoder."""

import io
import math
import struct
from collections.abc import Mapping
from fractions import Fraction

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

# Format to (container, codec, sample rate).
FORMATS = {
    "mp3": ("mp3", "libmp3lame", 44_100),
    "flac": ("flac", "flac", 44_100),
    "ogg": ("ogg", "vorbis", 44_100),
    "opus": ("ogg", "libopus", 48_000),
    "m4a": ("ipod", "aac", 44_100),
    "wav": ("wav", "pcm_s16le", 44_100),
    "aiff": ("aiff", "pcm_s16be", 44_100),
}
FRAME = 1024


def song(format: str, seconds: float = 2.0, *, pitch: float = 440.0, tags: Mapping[str, str] | None = None) -> bytes:  # noqa: A002 - the word of the trade
    """A tone of `pitch` Hz as a file of `format`, a key of FORMATS, with `tags` (title, artist, album, genre).

    Other pitches make other bytes; the same arguments make the same length and tags.
    """
    container, codec, rate = FORMATS[format]
    wave = np.sin(2 * math.pi * pitch / rate * np.arange(int(seconds * rate))) * 8000
    samples = wave.astype(np.int16)
    if codec == "vorbis":
        return _by_libsndfile(samples, rate, tags or {})
    return _by_ffmpeg(samples, rate, container, codec, tags or {})


def _by_ffmpeg(samples: NDArray[np.int16], rate: int, container: str, codec: str, tags: Mapping[str, str]) -> bytes:
    options = {"mp3": {"id3v2_version": "3"}, "aiff": {"write_id3v2": "1"}}.get(container, {})
    target = io.BytesIO()
    with av.open(target, "w", format=container, options=options) as output:
        output.metadata.update(tags)
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        if container == "ogg":
            stream.metadata.update(tags)
        for start in range(0, len(samples), FRAME):
            block = samples[start : start + FRAME].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = rate
            frame.pts = start
            frame.time_base = Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()


def _by_libsndfile(samples: NDArray[np.int16], rate: int, tags: Mapping[str, str]) -> bytes:
    target = io.BytesIO()
    with soundfile.SoundFile(target, "w", rate, 1, format="OGG", subtype="VORBIS") as output:
        for name, value in tags.items():
            setattr(output, name, value)
        output.write(samples)
    return target.getvalue()


def mp3_frames(seconds: float) -> bytes:
    """An MP3 stream without any header of its length, as an encoder on the air sends it."""
    whole = song("mp3", seconds)
    tag = 10 + _from_syncsafe(whole[6:10]) if whole[:3] == b"ID3" else 0
    first = whole.index(b"\xff\xfb", tag)
    return whole[whole.index(b"\xff\xfb", first + 4) :]


def id3(*frames: tuple[bytes, bytes, bytes]) -> bytes:
    """An ID3v2.4 tag of raw frames: (identifier, flags, content)."""
    body = b"".join(name + syncsafe(len(content)) + flags + content for name, flags, content in frames)
    return b"ID3\x04\x00\x00" + syncsafe(len(body)) + body


def _from_syncsafe(octets: bytes) -> int:
    return sum(octet << shift for octet, shift in zip(octets, (21, 14, 7, 0), strict=True))


def syncsafe(number: int) -> bytes:
    return struct.pack("4B", *(number >> shift & 0x7F for shift in (21, 14, 7, 0)))
