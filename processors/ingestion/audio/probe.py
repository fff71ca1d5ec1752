"""What a file holds: real format, duration and tags. It reads hostile files, so it runs in `sandbox` only."""

from collections.abc import Callable
from typing import Any, BinaryIO

from msgspec import Struct
from mutagen.aiff import AIFF, AIFFInfo
from mutagen.flac import FLAC
from mutagen.id3 import ID3
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE, WaveStreamInfo

from songline.processors.ingestion.audio import containers, flac, mpeg, tags
from songline.processors.ingestion.audio.formats import MEDIA_TYPES, Format, recognise
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError
from songline.schemas.commands import Metadata
from songline.schemas.ingestions import Reason
from songline.schemas.types import DAY_MS

# Samples a second: well below a telephone's, and twice what studio gear goes up to.
RATES = range(1_000, 768_001)


class ProbedAudio(Struct, frozen=True, kw_only=True, tag="probed"):
    """An audio file: its real format, media type, milliseconds of sound, and what its tags say."""

    format: Format
    content_type: str
    duration_ms: int
    metadata: Metadata


class RefusedAudio(Struct, frozen=True, kw_only=True, tag="refused"):
    """A file that can't become a song."""

    reason: Reason


def probe(file: BinaryIO) -> ProbedAudio | RefusedAudio:
    """What `file` (seekable, at least readable) holds. A file that is broken is an answer, never an exception."""
    try:
        return examine(file)
    except InvalidAudioError as unfit:
        return RefusedAudio(reason=unfit.reason)
    except OSError:
        # The disk's fault.
        raise
    except Exception as error:  # noqa: BLE001 - there is nothing that a file can't make a parser raise
        said = str(error) or type(error).__name__
        return RefusedAudio(reason=Reason(cause="corrupt", text=f"The file is damaged: {said[:200]}."))


def examine(file: BinaryIO) -> ProbedAudio:
    """`probe`, which raises InvalidAudioError, or whatever a broken file makes mutagen raise."""
    format, start = recognise(file)  # noqa: A001 - the word of the trade
    seconds, found = _READERS[format](file, start)
    duration_ms = round(seconds * 1000)
    if duration_ms <= 0:
        raise InvalidAudioError("empty", "The file holds no sound: it is 0 seconds long.")
    if duration_ms > DAY_MS:
        raise InvalidAudioError(
            "too-long", f"The song is {duration_ms / 3_600_000:.0f} hours long; 24 are the most we take."
        )
    return ProbedAudio(format=format, content_type=MEDIA_TYPES[format], duration_ms=duration_ms, metadata=found)


def _mp3(file: BinaryIO, start: int) -> tuple[float, Metadata]:
    return mpeg.duration(file, start), _tags(lambda: ID3(_rewound(file)))


def _flac(file: BinaryIO, start: int) -> tuple[float, Metadata]:
    flac.check_metadata(file, start)
    found = FLAC(_rewound(file))
    info = found.info
    flac.check(file, flac.FlacStreamInfo(info.total_samples, info.min_blocksize, info.max_framesize, info.sample_rate))
    return info.length, tags.read(found.tags)


def _vorbis(file: BinaryIO, start: int) -> tuple[float, Metadata]:
    containers.check_ogg(file)
    found = OggVorbis(_rewound(file))
    return found.info.length, tags.read(found.tags)


def _opus(file: BinaryIO, start: int) -> tuple[float, Metadata]:
    containers.check_ogg(file)
    found = OggOpus(_rewound(file))
    return found.info.length, tags.read(found.tags)


def _mp4(file: BinaryIO, start: int) -> tuple[float, Metadata]:
    containers.check_mp4(file)
    found = MP4(_rewound(file))
    if not found.info.codec:
        raise InvalidAudioError("not-audio", "The file has no sound track.")
    if found.info.codec.startswith("drm"):
        raise InvalidAudioError(
            "unsupported", "The file is copy-protected (DRM): only its shop's own player can play it."
        )
    return found.info.length, tags.read(found.tags)


def _wav(file: BinaryIO, start: int) -> tuple[float, Metadata]:
    containers.check_wav(file)
    info = WaveStreamInfo(_rewound(file))
    if info.audio_format not in containers.WAV_CODECS:
        raise InvalidAudioError(
            "unsupported", f"The file is a WAV with codec {info.audio_format}; we take uncompressed ones."
        )
    written = _tags(lambda: WAVE(_rewound(file)).tags)
    if info.channels < 1 or info.sample_rate not in RATES:
        raise _absurd(info.channels, info.sample_rate)
    return info.length, tags.over(written, tags.clean(containers.wav_info(file)))


def _aiff(file: BinaryIO, start: int) -> tuple[float, Metadata]:
    containers.check_aiff(file)
    info = AIFFInfo(_rewound(file))
    if info.channels < 1 or info.sample_rate not in RATES:
        raise _absurd(info.channels, info.sample_rate)
    return info.length, _tags(lambda: AIFF(_rewound(file)).tags)


def _absurd(channels: int, rate: int) -> InvalidAudioError:
    return InvalidAudioError("corrupt", f"The file is damaged: it says it has {channels} channels at {rate} Hz.")


def _tags(load: Callable[[], Any]) -> Metadata:
    """Tags that stand beside the sound: where they are broken, the sound is none the worse."""
    try:
        return tags.read(load())
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - as above; MemoryError is a tag that unpacks to more than the process may have
        return Metadata()


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


_READERS: dict[Format, Callable[[BinaryIO, int], tuple[float, Metadata]]] = {
    "mp3": _mp3,
    "flac": _flac,
    "ogg": _vorbis,
    "opus": _opus,
    "m4a": _mp4,
    "wav": _wav,
    "aiff": _aiff,
}
