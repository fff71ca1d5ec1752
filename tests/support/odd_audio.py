"""Audio files as they are found in collections: cut, joined, streamed, tagged by many hands. Players play each."""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream

from songline.processors.ingestion.audio.ogg_pages import ogg_crc
from tests.support.audio import song, syncsafe

HOUR_S = 3600
RATED = ("wmav2",)
"""Codecs that have no bit rate of their own accord."""


def encoded(
    container: str,
    codec: str,
    seconds: float = 2.0,
    *,
    rate: int = 48_000,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    can_seek: bool = True,
) -> bytes:
    """A tone as FFmpeg writes it into a file, or (not `can_seek`) into a pipe."""
    target = io.BytesIO() if can_seek else Pipe()
    wave = (np.sin(2 * np.pi * 440 / rate * np.arange(int(seconds * rate))) * 8000).astype(np.int16)
    with av.open(target, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        if bit_rate or codec in RATED:
            stream.bit_rate = bit_rate or 96_000
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        for start in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(wave[start : start + 1024].reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for resampled in resampler.resample(frame):
                output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return target.getvalue()


def encoded_samples(
    container: str, codec: str, samples: "np.ndarray[Any, Any]", *, sample_format: str, options: dict[str, str]
) -> bytes:
    """Two channels of these samples of 16 bits."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=44_100, options=options)
        assert isinstance(stream, AudioStream)
        stream.layout, stream.format = "stereo", sample_format
        packed = np.ascontiguousarray(samples.T.astype(np.int16).reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
        frame.sample_rate = 44_100
        for resampled in av.AudioResampler(format=sample_format, layout="stereo", rate=44_100).resample(frame):
            output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return target.getvalue()


class Pipe(io.RawIOBase):
    """Takes what is written and can't go back."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """False."""
        return False

    def write(self, octets: bytes) -> int:  # type: ignore[override]
        """Take `octets`."""
        self._written += octets
        return len(octets)

    def getvalue(self) -> bytes:
        """All that was written."""
        return bytes(self._written)


def pages(ogg: bytes) -> Iterator[bytes]:
    """The pages of an Ogg file."""
    at = 0
    while at < len(ogg):
        table = ogg[at + 27 : at + 27 + ogg[at + 26]]
        end = at + 27 + len(table) + sum(table)
        yield ogg[at:end]
        at = end


def signed(page: bytes) -> bytes:
    """The page with its checksum made right."""
    return page[:22] + ogg_crc(page[:22] + bytes(4) + page[26:]).to_bytes(4, "little") + page[26:]


def later(ogg: bytes, samples: int) -> bytes:
    """As if it were cut out of a recording that had begun so many samples before."""
    moved = []
    for number, page in enumerate(pages(ogg)):
        granule = int.from_bytes(page[6:14], "little")
        is_sound = number > 1 and granule not in (0, 2**64 - 1)
        moved.append(signed(page[:6] + struct.pack("<Q", granule + samples) + page[14:]) if is_sound else page)
    return b"".join(moved)


def endless(ogg: bytes) -> bytes:
    """Without the flag on its last page that says that it is the last."""
    *before, last = pages(ogg)
    return b"".join([*before, signed(last[:5] + bytes([last[5] & ~4]) + last[6:])])


def piped_flac(flac: bytes) -> bytes:
    """FLAC whose writer could not go back: it says of 0 samples, and of no frame's size."""
    at = flac.index(b"fLaC") + 8
    packed = int.from_bytes(flac[at + 10 : at + 18]) >> 36 << 36
    return flac[: at + 4] + bytes(6) + packed.to_bytes(8) + bytes(16) + flac[at + 34 :]


def unfinished_wav(wav: bytes, size: int) -> bytes:
    """A WAV whose recorder wrote `size` for both lengths, and nothing behind the sound."""
    at = wav.index(b"data") + 4
    length = int.from_bytes(wav[at : at + 4], "little")
    unsure = struct.pack("<I", size)
    return wav[:4] + unsure + wav[8:at] + unsure + wav[at + 4 : at + 4 + length]


def id3v1(title: bytes = b"", artist: bytes = b"", genre: int = 0) -> bytes:
    """128 bytes."""
    return b"TAG" + title.ljust(30, b"\0") + artist.ljust(30, b"\0") + bytes(64) + bytes([genre])


def apev2(**items: str) -> bytes:
    """An APEv2 tag with a header and a footer; values of an item are divided by NUL."""
    body = b"".join(
        struct.pack("<II", len(value.encode()), 0) + name.encode() + b"\0" + value.encode()
        for name, value in items.items()
    )
    ends = [
        struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(body) + 32, len(items), flags)
        for flags in (0xA0000000, 0x80000000)
    ]
    return ends[0] + body + ends[1]


def lyrics3(text: bytes) -> bytes:
    """A Lyrics3v2 tag."""
    body = b"LYRICSBEGIN" + text
    return body + b"%06d" % len(body) + b"LYRICS200"


def id3v2(title: str, padding: int = 0) -> bytes:
    """An ID3v2.4 tag with a title, and zeros at its end."""
    content = b"\x03" + title.encode()
    frame = b"TIT2" + syncsafe(len(content)) + b"\0\0" + content
    return b"ID3\x04\0\0" + syncsafe(len(frame) + padding) + frame + bytes(padding)


def musepack8(samples: int, silence: int = 0, sound: bytes = bytes(900)) -> bytes:
    """Musepack of stream version 8: its header, sound, and its end; 44,100 samples a second."""
    head = bytes(4) + b"\x08" + _seven_bits(samples) + _seven_bits(silence) + b"\x1b\x1b"
    packets = ((b"SH", head), (b"RG", bytes(9)), (b"AP", sound), (b"SE", b""))
    return b"MPCK" + b"".join(key + _packet_size(len(content)) + content for key, content in packets)


def _packet_size(content: int) -> bytes:
    """A packet's size counts its key and itself."""
    return next(size for more in range(1, 9) if len(size := _seven_bits(content + 2 + more)) == more)


def _seven_bits(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(number & 0x7F | 0x80)
    return bytes(reversed(octets))


def musepack7(frame_bits: list[int], last: int | None = None) -> bytes:
    """Musepack of stream version 7 of frames of so many bits; `last` are the samples of the last one."""
    bits = "0" * 8 + "".join(f"{size:020b}" + "1" * size for size in frame_bits)
    bits += "0" * (-len(bits) % 32)
    words = [int(bits[at : at + 32], 2).to_bytes(4, "little") for at in range(0, len(bits), 32)]
    gapless = 0 if last is None else 1 << 31 | last << 20
    head = b"MP+\x07" + struct.pack("<I12xI", len(frame_bits), gapless)
    return head + b"".join(words)


def mpeg_frames(octets: bytes) -> list[bytes]:
    """The frames of an MP3 of MPEG 1, layer 3; what stands before them and behind is left out."""
    rates = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    at, found = octets.index(b"\xff\xfb"), []
    while at + 4 <= len(octets) and octets[at : at + 2] == b"\xff\xfb":
        length = 144_000 * rates[octets[at + 2] >> 4] // 44_100 + (octets[at + 2] >> 1 & 1)
        found.append(octets[at : at + length])
        at += length
    return found


def free_format(seconds: float = 1.0, length: int = 1000) -> bytes:
    """MP3 frames that don't say how long they are."""
    return (b"\xff\xfb\x00\xc0" + bytes(length - 4)) * int(seconds * 44_100 / 1152)


def commented_flac(flac: bytes, *comments: tuple[str, str]) -> bytes:
    """FLAC with these Vorbis comments and no others."""
    listed = [f"{name}={value}".encode() for name, value in comments]
    block = struct.pack("<I", 0) + struct.pack("<I", len(listed))
    block += b"".join(struct.pack("<I", len(item)) + item for item in listed)
    at, kept = 4, b"fLaC"
    while True:
        kind, size = flac[at], int.from_bytes(flac[at + 1 : at + 4])
        if kind & 0x7F == 0:
            kept += bytes([0]) + flac[at + 1 : at + 4 + size]
        at += 4 + size
        if kind & 0x80:
            break
    return kept + bytes([0x84]) + len(block).to_bytes(3) + block + flac[at:]


def plain_flac(seconds: float = 2.0) -> bytes:
    """FLAC without tags."""
    return commented_flac(song("flac", seconds))
