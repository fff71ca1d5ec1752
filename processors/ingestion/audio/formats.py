"""What a file is, by its content: neither its name nor the type that its sender claims decides."""

from typing import BinaryIO, Literal, get_args

from songline.processors.ingestion.audio import frame_headers, mpeg
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off

Format = Literal[
    "mp3", "flac", "ogg", "opus", "m4a", "wav", "aiff", "mp2", "ogg-flac", "speex", "aac", "ac3", "amr", "au", "caf",
    "mka", "webm", "wv", "ape", "tta", "dsf", "dff", "wma", "mpc",
]  # fmt: skip
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
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "amr": "audio/amr",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "mka": "audio/x-matroska",
    "webm": "audio/webm",
    "wv": "audio/x-wavpack",
    "ape": "audio/x-ape",
    "tta": "audio/x-tta",
    "dsf": "audio/x-dsf",
    "dff": "audio/x-dff",
    "wma": "audio/x-ms-wma",
    "mpc": "audio/x-musepack",
}

AudioContainer = Literal[
    "mpeg", "flac", "ogg", "mp4", "wav", "aiff", "adts", "ac3", "amr", "au", "caf", "matroska", "wavpack", "ape", "tta",
    "dsf", "dff", "asf", "musepack",
]  # fmt: skip
"""What a file is at first sight, and which reader reads it."""

WANTED = "MP3, FLAC, Ogg, Opus, M4A, WAV, AIFF, AAC, WebM and what else common players play"
HEAD = 64

_ADVICE = "Save it as FLAC, Opus or MP3."
_DTS = (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8", b"\x64\x58\x20\x25")
# (offset, bytes there) to what people call it. Audio that we know of and don't take is `unsupported`.
_OTHER_AUDIO = (
    (0, b"tBaK", f"TAK, which is not read here. {_ADVICE}"),
    (0, b"OFR ", f"OptimFROG, which is not read here. {_ADVICE}"),
    (0, b"ADIF", f"AAC in its old form ADIF, which says no length. {_ADVICE}"),
    (0, b".RMF", f"RealMedia, which is not read here. {_ADVICE}"),
    *((0, magic, f"DTS, which is not read here. {_ADVICE}") for magic in _DTS),
    (4, b"\xf8\x72\x6f\xba", f"Dolby TrueHD, which is not read here. {_ADVICE}"),
    (4, b"\xf8\x72\x6f\xbb", f"Meridian Lossless (MLP), which is not read here. {_ADVICE}"),
    (0, b".ra\xfd", f"RealAudio, which is not read here. {_ADVICE}"),
    (0, b"ea3\x03", f"ATRAC in Sony's OpenMG, which is not read here. {_ADVICE}"),
    (0, b"EA3\x01", f"ATRAC in Sony's OpenMG, which is not read here. {_ADVICE}"),
    (0, b"ajkg", f"Shorten, which is not read here. {_ADVICE}"),
    (0, b"LA0", f"Lossless Audio (LA), which is not read here. {_ADVICE}"),
    (0, b"Creative Voice File", f"a Creative Voice file (VOC), which is not read here. {_ADVICE}"),
    (8, b"8SVX", f"an 8SVX file of an Amiga, which is not read here. {_ADVICE}"),
    (0, b"NIST_1A", f"a NIST Sphere file, which is not read here. {_ADVICE}"),
    (0, b"\x64\xa3", f"an IRCAM file, which is not read here. {_ADVICE}"),
    (0, b".SoX", f"a file of SoX, which is not read here. {_ADVICE}"),
    (0, b"XoS.", f"a file of SoX, which is not read here. {_ADVICE}"),
    (8, b"QLCM", f"QCELP of a telephone, which is not read here. {_ADVICE}"),
    (8, b"RMID", "a MIDI file, which holds notes and no sound. Record it, and send the recording."),
    (0, b"nutZ", f"a NUT file, which is not read here. {_ADVICE}"),
    (0, b"nut/multimedia container", f"a NUT file, which is not read here. {_ADVICE}"),
    (0, b"MThd", "a MIDI file, which holds notes and no sound. Record it, and send the recording."),
    (0, b"IMPM", "a module of a tracker, which holds notes and no recording. Record it, and send the recording."),
    (0, b"Extended Module:", "a module of a tracker, which holds notes and no recording. Send a recording of it."),
    (0, b"#EXTM3U", "a playlist, which holds names of files and no sound. Send the files."),
    (0, b"[playlist]", "a playlist, which holds names of files and no sound. Send the files."),
)
_NO_AUDIO = (
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (8, b"AVI ", "an AVI film"),
    (0, b"FLV\x01", "a Flash film"),
    (0, b"FWS", "a Flash film"),
    (0, b"CWS", "a Flash film"),
    (0, b"\0\0\x01\xba", "an MPEG film"),
    (0, b"\0\0\x01\xb3", "an MPEG film"),
    (0, b"\xb7\xd8\x00\x20\x37\x49\xda\x11", "a recording of television"),
    (0, b"\x47\x40", "a transport stream of television"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
)


def recognise(file: BinaryIO, extent: Extent) -> AudioContainer:
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
            raise InvalidAudioError("unsupported", f"This is {name}")
    for offset, magic, name in _NO_AUDIO:
        if head.startswith(magic, offset):
            raise InvalidAudioError("not-audio", f"This is {name}, not audio. We take {WANTED}.")
    if frame_headers.is_chain(file, extent.start, extent.end, frame_headers.adts_frame):
        return "adts"
    if frame_headers.is_chain(file, extent.start, extent.end, frame_headers.ac3_frame):
        return "ac3"
    if mpeg.first_frame(file, extent.start) is not None:
        return "mpeg"
    if mpeg.free_format(file, extent.start):
        raise InvalidAudioError(
            "unsupported",
            "This is an MP3 in free format: its frames don't say how long they are, and few players play it. Encode it "
            "again with a bit rate of 320 kbit/s or less.",
        )
    if (only := mpeg.header(head[:4])) is not None and extent.start + only.length > extent.end:
        raise cut_off(extent.start + only.length, extent.end)
    raise InvalidAudioError("not-audio", f"This is not audio as we know it. We take {WANTED}.")


def _by_magic(head: bytes) -> AudioContainer | None:
    match head[:4], head[4:8], head[8:12]:
        case ((b"RIFF" | b"RIFX" | b"RF64" | b"BW64"), _, b"WAVE"):
            return "wav"
        case b"riff", b"\x2e\x91\xcf\x11", _ if head[24:28] == b"wave":
            return "wav"
        case b"FORM", _, (b"AIFF" | b"AIFC"):
            return "aiff"
        case b"FRM8", _, _ if head[12:16] == b"DSD ":
            return "dff"
        case _, (b"ftyp" | b"moov" | b"mdat" | b"moof" | b"styp" | b"wide" | b"pnot"), _:
            return "mp4"
    return next((container for magic, container in _MAGIC if head.startswith(magic)), None)


_MAGIC: tuple[tuple[bytes, AudioContainer], ...] = (
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"#!AMR", "amr"),
    (b".snd", "au"),
    (b"caff", "caf"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"wvpk", "wavpack"),
    (b"MAC ", "ape"),
    (b"TTA1", "tta"),
    (b"MPCK", "musepack"),
    (b"MP+", "musepack"),
    (b"DSD ", "dsf"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)
