"""What a file is, by its content: neither its name nor the type that its sender claims decides."""

from typing import BinaryIO, Literal, get_args

from songline.processors.ingestion.audio import mpeg
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError

Format = Literal["mp3", "flac", "ogg", "opus", "m4a", "wav", "aiff", "mp2", "ogg-flac", "speex"]
FORMATS: tuple[Format, ...] = get_args(Format)

MEDIA_TYPES: dict[Format, str] = {
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "aiff": "audio/aiff",
    "mp2": "audio/mpeg",
    "ogg-flac": "audio/ogg",
    "speex": "audio/ogg",
}

Container = Literal["mpeg", "flac", "ogg", "mp4", "wav", "aiff"]
"""What a file is at first sight, and which reader reads it."""

WANTED = "MP3, FLAC, Ogg Vorbis, Opus, M4A, WAV or AIFF"
HEAD = 64

# (offset, bytes there) to what people call it. Audio that we know of and don't take is `unsupported`.
_OTHER_AUDIO = (
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media audio"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"DSD ", "DSD audio"),
    (0, b"MThd", "a MIDI file, which holds notes and no sound"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"\xff\xf1", "a bare AAC stream"),
    (0, b"\xff\xf9", "a bare AAC stream"),
    (0, b"\x0bw", "Dolby Digital"),
)
_NO_AUDIO = (
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (8, b"AVI ", "an AVI film"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
)


def recognise(file: BinaryIO, extent: Extent) -> Container:
    """What `file` is.

    Raises InvalidAudioError: empty, not-audio, unsupported or cut-off.
    """
    if extent.length == 0:
        raise InvalidAudioError("empty", "The file is empty.")
    file.seek(0)
    if extent.start >= extent.length and file.read(3) == b"ID3":
        raise InvalidAudioError(
            "cut-off", "The file is cut off within its tags: there is no sound in it. Send it whole."
        )
    file.seek(extent.start)
    head = file.read(HEAD)
    if known := _by_magic(head):
        return known
    for offset, magic, name in _OTHER_AUDIO:
        if head.startswith(magic, offset) and not mpeg.first_frame(file, extent.start, within=1):
            raise InvalidAudioError("unsupported", f"This is {name}. We take {WANTED}.")
    for offset, magic, name in _NO_AUDIO:
        if head.startswith(magic, offset):
            raise InvalidAudioError("not-audio", f"This is {name}, not audio. We take {WANTED}.")
    if mpeg.first_frame(file, extent.start) is not None:
        return "mpeg"
    if mpeg.free_format(file, extent.start):
        raise InvalidAudioError(
            "unsupported",
            "This is an MP3 in free format: its frames don't say how long they are, and few players play it. Encode it "
            "again with a bit rate of 320 kbit/s or less.",
        )
    raise InvalidAudioError("not-audio", f"This is not audio as we know it. We take {WANTED}.")


def _by_magic(head: bytes) -> Container | None:
    match head[:4], head[4:8], head[8:12]:
        case b"fLaC", _, _:
            return "flac"
        case ((b"RIFF" | b"RF64" | b"BW64"), _, b"WAVE"):
            return "wav"
        case b"FORM", _, (b"AIFF" | b"AIFC"):
            return "aiff"
        case b"OggS", _, _:
            return "ogg"
        case _, (b"ftyp" | b"moov" | b"mdat" | b"moof" | b"styp" | b"wide" | b"pnot"), _:
            return "mp4"
        case b"riff", b"\x2e\x91\xcf\x11", _ if head[24:28] == b"wave":
            return "wav"
        case _:
            return None
