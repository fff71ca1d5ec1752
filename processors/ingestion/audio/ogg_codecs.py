"""What streams of an Ogg file hold: Vorbis, Opus, FLAC and Speex, with the samples of each packet.

Sources: Vorbis I sections 4.2 (headers) and 4.3.1 (packets), RFC 7845 section 5.1 (OpusHead), RFC 6716 section 3.1
(TOC), the FLAC to Ogg mapping 1.0, and the Speex manual's section on its Ogg header.
"""

from typing import Protocol

from songline.processors.ingestion.audio.flac_frames import read_frame
from songline.processors.ingestion.audio.formats import Format
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError

_OPUS_RATE = 48_000
# Samples of a frame by the upper five bits of a packet's first byte.
_OPUS_FRAMES = (*((480, 960, 1920, 2880) * 3), *((480, 960) * 2), *((120, 240, 480, 960) * 4))
_MODE_BITS = 41


class OggCodec(Protocol):
    """A stream of sound: its format, samples a second, the packets before the sound, the samples that a player skips at
    the beginning, and which packet has the comments, from which byte on."""

    format: Format
    rate: int
    heads: int
    skipped: int
    comments: tuple[int, int]

    def head(self, number: int, packet: bytes) -> None:
        """Take the packet of this number that stands before the sound."""

    def samples(self, packet: bytes) -> int:
        """The samples of the next packet of sound."""


class Vorbis:
    """How long a packet sounds depends on the blocks of it and of the one before."""

    format: Format = "ogg"
    heads = 3
    skipped = 0
    comments = (1, 7)

    def __init__(self, first: bytes) -> None:
        self.rate = _positive(int.from_bytes(first[12:16], "little"))
        self._blocks = 1 << (first[28] & 15), 1 << (first[28] >> 4)
        self._modes: tuple[int, ...] = (0,)
        self._before = 0

    def head(self, number: int, packet: bytes) -> None:
        if number == 2 and packet:
            self._modes = vorbis_modes(packet)

    def samples(self, packet: bytes) -> int:
        if not packet or packet[0] & 1:
            return 0
        bits = (len(self._modes) - 1).bit_length()
        mode = packet[0] >> 1 & (1 << bits) - 1
        block = self._blocks[self._modes[mode] if mode < len(self._modes) else 0]
        sounded = (self._before + block) // 4 if self._before else 0
        self._before = block
        return sounded


def vorbis_modes(setup: bytes) -> tuple[int, ...]:
    """Whether each mode is of long blocks (1) or short ones (0), in their order, from the third packet.

    The modes stand at its end, 41 bits each, behind their number, and a bit that is 1 ends it: what stands before would
    have to be decoded to be passed over.
    """
    bits = int.from_bytes(setup[-(64 * _MODE_BITS // 8 + 16) :], "little")
    end = bits.bit_length() - 1
    found: list[int] = []
    modes: tuple[int, ...] = (0,)
    while len(found) < 64 and (at := end - _MODE_BITS * (len(found) + 1)) >= 6:
        mode = bits >> at & (1 << _MODE_BITS) - 1
        # The window and the transform are 0, and there are at most 64 mappings.
        if mode >> 1 & 0xFFFFFFFF or mode >> 33 > 63:
            break
        found.insert(0, mode & 1)
        if bits >> (at - 6) & 63 == len(found) - 1:
            modes = tuple(found)
    return modes


class Opus:
    """Always 48,000 samples a second, whatever rate the recording had."""

    format: Format = "opus"
    rate = _OPUS_RATE
    heads = 2
    comments = (1, 8)

    def __init__(self, first: bytes) -> None:
        if len(first) < 19 or first[8] > 15 or first[9] == 0:
            raise InvalidAudioError("corrupt", "The file is damaged: its head is not one of Opus.")
        self.skipped = int.from_bytes(first[10:12], "little")

    def head(self, number: int, packet: bytes) -> None:
        pass

    def samples(self, packet: bytes) -> int:
        return opus_samples(packet)


def opus_samples(packet: bytes) -> int:
    """The samples of an Opus packet, 48,000 a second."""
    if not packet:
        return 0
    code = packet[0] & 3
    count = (packet[1] & 63 if len(packet) > 1 else 0) if code == 3 else (1, 2, 2)[code]
    return _OPUS_FRAMES[packet[0] >> 3] * count


class OggFlac:
    """A frame of FLAC a packet."""

    format: Format = "ogg-flac"
    skipped = 0
    comments = (1, 4)

    def __init__(self, first: bytes) -> None:
        info = first[17:51]
        if len(info) < 34:
            raise InvalidAudioError("corrupt", "The file is damaged: its head is not one of FLAC.")
        self.heads = 1 + int.from_bytes(first[7:9])
        self.rate = _positive(int.from_bytes(info[10:13]) >> 4)
        self._block = int.from_bytes(info[:2])

    def head(self, number: int, packet: bytes) -> None:
        pass

    def samples(self, packet: bytes) -> int:
        frame = read_frame(packet[:16], self._block)
        return 0 if frame is None else frame.samples


class Speex:
    """Each packet has as many frames as the head says."""

    format: Format = "speex"
    skipped = 0
    comments = (1, 0)

    def __init__(self, first: bytes) -> None:
        numbers = [int.from_bytes(first[at : at + 4], "little") for at in range(36, 72, 4)]
        self.rate = _positive(numbers[0])
        self.heads = 2 + min(numbers[8], 64)
        self._samples = numbers[5] * max(1, numbers[7])

    def head(self, number: int, packet: bytes) -> None:
        pass

    def samples(self, packet: bytes) -> int:
        return self._samples


def codec_of(first: bytes) -> OggCodec | None:
    """The codec of the stream whose first packet is `first`; None for a stream that is not of sound.

    Raises InvalidAudioError.
    """
    if first.startswith(b"\x01vorbis") and len(first) >= 30:
        return Vorbis(first)
    if first.startswith(b"OpusHead"):
        return Opus(first)
    if first.startswith(b"\x7fFLAC"):
        return OggFlac(first)
    if first.startswith(b"Speex   ") and len(first) >= 72:
        return Speex(first)
    return None


def _positive(rate: int) -> int:
    if not 1_000 <= rate <= 768_000:
        raise InvalidAudioError("corrupt", f"The file is damaged: it says it has sound at {rate} Hz.")
    return rate
