"""What a file holds: real format, duration and tags. It reads hostile files, so it runs in `sandbox` only."""

from collections.abc import Callable
from typing import BinaryIO

from msgspec import Struct

from songline.processors.ingestion.audio import tags
from songline.processors.ingestion.audio.aiff import read_aiff
from songline.processors.ingestion.audio.asf import read_asf
from songline.processors.ingestion.audio.extent import Extent, find_extent
from songline.processors.ingestion.audio.flac import read_flac
from songline.processors.ingestion.audio.formats import MEDIA_TYPES, AudioContainer, Format, recognise
from songline.processors.ingestion.audio.frame_streams import read_ac3, read_adts, read_amr
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError
from songline.processors.ingestion.audio.matroska import read_matroska
from songline.processors.ingestion.audio.mp3 import read_mp3
from songline.processors.ingestion.audio.mp4 import read_mp4
from songline.processors.ingestion.audio.musepack import read_musepack
from songline.processors.ingestion.audio.ogg import read_ogg
from songline.processors.ingestion.audio.plain_headers import read_ape, read_au, read_caf, read_dff, read_dsf, read_tta
from songline.processors.ingestion.audio.sound import Sound
from songline.processors.ingestion.audio.wav import read_wav
from songline.processors.ingestion.audio.wavpack import read_wavpack
from songline.schemas.commands import Metadata
from songline.schemas.ingestions import Reason
from songline.schemas.types import DAY_MS


class ProbedAudio(Struct, frozen=True, kw_only=True, tag="probed"):
    """An audio file: its real format, media type, milliseconds of sound, what its tags say, and a sentence for its
    owner where something is odd about it."""

    format: Format
    content_type: str
    duration_ms: int
    metadata: Metadata
    note: str | None = None


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
    """`probe`, which raises InvalidAudioError, or whatever a broken file makes a reader raise."""
    extent = find_extent(file)
    sound = _READERS[recognise(file, extent)](file, extent)
    duration_ms = round(sound.seconds * 1000)
    if duration_ms <= 0:
        raise InvalidAudioError("empty", "The file holds no sound: it is 0 seconds long.")
    if duration_ms > DAY_MS:
        raise InvalidAudioError(
            "too-long",
            f"The song is {duration_ms / 3_600_000:.0f} hours long; 24 are the most we take. Send it in parts.",
        )
    return ProbedAudio(
        format=sound.format,
        content_type=MEDIA_TYPES[sound.format],
        duration_ms=duration_ms,
        metadata=tags.read(sound.tags),
        note=sound.note,
    )


_READERS: dict[AudioContainer, Callable[[BinaryIO, Extent], Sound]] = {
    "mpeg": read_mp3,
    "flac": read_flac,
    "ogg": read_ogg,
    "mp4": read_mp4,
    "wav": read_wav,
    "aiff": read_aiff,
    "adts": read_adts,
    "ac3": read_ac3,
    "amr": read_amr,
    "au": read_au,
    "caf": read_caf,
    "matroska": read_matroska,
    "wavpack": read_wavpack,
    "ape": read_ape,
    "tta": read_tta,
    "dsf": read_dsf,
    "dff": read_dff,
    "asf": read_asf,
    "musepack": read_musepack,
}
