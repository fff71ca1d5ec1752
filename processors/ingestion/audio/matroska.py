"""Matroska and WebM files. Sources: RFC 8794 (EBML), RFC 9559 sections 5.1.2 (Info), 5.1.3 (clusters), 5.1.8 (tags).

A file that was recorded live (as browsers do) has no duration, and segments and clusters of unknown size: it is as long
as its last block says.
"""

from typing import BinaryIO, NamedTuple

from msgspec import Struct

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.ebml import (
    Element,
    child_content,
    content_of,
    decimal_of,
    element_at,
    elements,
    inside,
    number_of,
    text_in,
    varint,
)
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.flac_frames import read_frame
from songline.processors.ingestion.audio.formats import Format
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.ogg_codecs import opus_samples
from songline.processors.ingestion.audio.sound import RawTags, Sound

_EBML, _DOCTYPE, _SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
_INFO, _TRACKS, _CLUSTER, _TAGS = 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1254C367
_SCALE, _DURATION, _TITLE = 0x2AD7B1, 0x4489, 0x7BA9
_TRACK, _NUMBER, _TYPE, _CODEC, _DEFAULT = 0xAE, 0xD7, 0x83, 0x86, 0x23E383
_TIMESTAMP, _SIMPLE, _GROUP, _BLOCK, _LASTS = 0xE7, 0xA3, 0xA0, 0xA1, 0x9B
_TAG, _TARGETS, _TARGET_TYPE, _SIMPLE_TAG, _TAG_NAME, _TAG_TEXT = 0x7373, 0x63C0, 0x68CA, 0x67C8, 0x45A3, 0x4487
_TOP = frozenset((_INFO, _TRACKS, _CLUSTER, _TAGS, 0x114D9B74, 0x1C53BB6B, 0x1941A469, 0x1043A770, _SEGMENT, _EBML))
_ANYWHERE = frozenset((0xEC, 0xBF))
_IN_CLUSTER = frozenset((_TIMESTAMP, _SIMPLE, _GROUP, 0xA7, 0xAB, 0x5854, 0xAF, *_ANYWHERE))
"""Also its place, the size of the one before, what is silent, and what is encrypted."""
_AUDIO, _SAMPLING = 0xE1, 0xB5
_SOUND = 2
_LACES = 6
_ALBUM = 50
_SECOND_NS = 1_000_000_000


class _Track(NamedTuple):
    number: int
    codec: str
    default_ns: int
    rate: float


class _Found(Struct):
    scale_ns: int = 1_000_000
    duration: float = 0.0
    title: str = ""
    track: _Track | None = None
    has_tracks: bool = False
    first_ns: int | None = None
    begun_ns: int | None = None
    last_ns: int = 0
    tags: RawTags = {}


def read_matroska(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a Matroska file's first track of sound. Raises InvalidAudioError: cut-off, corrupt, not-audio."""
    found, kind = _Found(tags={}), "mka"
    for element in elements(file, extent.start, extent.end):
        if element.id == _EBML:
            kind = "webm" if text_in(file, element, _DOCTYPE) == "webm" else "mka"
        elif element.id == _SEGMENT:
            if element.end is not None and element.end > extent.end:
                raise cut_off(element.end, extent.end)
            _read_segment(file, element, extent.end, found)
            break
    if not found.has_tracks:
        raise InvalidAudioError("cut-off", "The file is cut off: the part that says what is in it is not there.")
    if found.track is None:
        raise InvalidAudioError("not-audio", "The file has no sound track.")
    seconds = found.duration * found.scale_ns / _SECOND_NS
    if not seconds and found.first_ns is not None:
        seconds = (found.last_ns - found.first_ns) / _SECOND_NS
    title: RawTags = {"title": [found.title]} if found.title else {}
    format: Format = "webm" if kind == "webm" else "mka"  # noqa: A001 - the word of the trade
    return Sound(format, seconds, raw_tags.merged(found.tags, title, raw_tags.around(file, extent)))


def _read_segment(file: BinaryIO, segment: Element, end: int, found: _Found) -> None:
    at = segment.content
    limit = end if segment.end is None else segment.end
    while at < limit:
        element = element_at(file, at, limit)
        if element is None:
            # Whatever stands behind the last cluster.
            return
        if element.id not in _TOP and element.id not in _ANYWHERE:
            return
        if element.end is not None and element.end > limit:
            raise cut_off(element.end, limit)
        if element.id == _INFO:
            _read_info(file, element, found)
        elif element.id == _TRACKS:
            _read_tracks(file, element, found)
        elif element.id == _TAGS:
            _read_tags(file, element, found)
        elif element.id == _CLUSTER and (element.end is None or not found.duration):
            # Where the header has a duration, its blocks are not needed.
            at = _read_cluster(file, element, limit, found)
            continue
        at = limit if element.end is None else element.end


def _read_info(file: BinaryIO, info: Element, found: _Found) -> None:
    found.scale_ns = number_of(child_content(file, info, _SCALE)) or found.scale_ns
    found.title = text_in(file, info, _TITLE)
    found.duration = decimal_of(child_content(file, info, _DURATION))


def _read_tracks(file: BinaryIO, tracks: Element, found: _Found) -> None:
    found.has_tracks = True
    for element in inside(file, tracks):
        if element.id == _TRACK and found.track is None and number_of(child_content(file, element, _TYPE)) == _SOUND:
            codec, lasts = text_in(file, element, _CODEC), number_of(child_content(file, element, _DEFAULT))
            found.track = _Track(number_of(child_content(file, element, _NUMBER)), codec, lasts, _rate(file, element))


def _rate(file: BinaryIO, track: Element) -> float:
    about = next((element for element in inside(file, track) if element.id == _AUDIO), None)
    return 0.0 if about is None else decimal_of(child_content(file, about, _SAMPLING))


def _read_cluster(file: BinaryIO, cluster: Element, limit: int, found: _Found) -> int:
    """Take the blocks of a cluster; return where it ends."""
    at, began = cluster.content, 0
    end = limit if cluster.end is None else cluster.end
    while at < end:
        element = element_at(file, at, end)
        if element is None or (cluster.end is None and element.id not in _IN_CLUSTER):
            return at
        if element.end is None or element.end > end:
            raise cut_off(element.end or end + 1, end)
        if element.id == _TIMESTAMP:
            began = number_of(content_of(file, element))
        elif element.id == _SIMPLE:
            _add_block(file, element, began, None, found)
        elif element.id == _GROUP:
            lasts = child_content(file, element, _LASTS)
            for inner in inside(file, element):
                if inner.id == _BLOCK:
                    _add_block(file, inner, began, number_of(lasts) if lasts else None, found)
        at = element.end
    return end


def _add_block(file: BinaryIO, block: Element, began: int, lasts: int | None, found: _Found) -> None:
    file.seek(block.content)
    head = file.read(32)
    track, size = varint(head, keep_marker=False)
    if found.track is None or track != found.track.number:
        return
    start_ns = (began + int.from_bytes(head[size : size + 2], signed=True)) * found.scale_ns
    is_single = not head[size + 2] & _LACES
    length_ns = found.track.default_ns
    if lasts is not None:
        length_ns = lasts * found.scale_ns
    elif is_single and (own_ns := _length_ns(found.track, head[size + 3 :])):
        length_ns = own_ns
    elif not length_ns and found.begun_ns is not None:
        # Blocks of a codec are about as long as each other.
        length_ns = max(0, start_ns - found.begun_ns)
    found.begun_ns = start_ns
    found.first_ns = start_ns if found.first_ns is None else min(found.first_ns, start_ns)
    found.last_ns = max(found.last_ns, start_ns + length_ns)


def _length_ns(track: _Track, packet: bytes) -> int:
    """How long a packet sounds, by its own first bytes; 0 where these don't say it."""
    if track.codec == "A_OPUS":
        return opus_samples(packet) * _SECOND_NS // 48_000
    samples = 0
    if track.codec == "A_FLAC":
        frame = read_frame(packet, 0)
        samples = 0 if frame is None else frame.samples
    elif track.codec == "A_WAVPACK4":
        samples = int.from_bytes(packet[:4], "little")
    return round(samples * _SECOND_NS / track.rate) if track.rate else 0


def _read_tags(file: BinaryIO, all_tags: Element, found: _Found) -> None:
    """Names stand for the song where the tag's target is a track, and for the album where it is that (or nothing)."""
    pairs: list[tuple[str, str]] = []
    for tag in (element for element in inside(file, all_tags) if element.id == _TAG):
        parts = list(inside(file, tag))
        target = next((element for element in parts if element.id == _TARGETS), None)
        level = number_of(child_content(file, target, _TARGET_TYPE)) if target is not None else 0
        for simple in (element for element in parts if element.id == _SIMPLE_TAG):
            name = text_in(file, simple, _TAG_NAME).lower()
            text = text_in(file, simple, _TAG_TEXT)
            if level == _ALBUM:
                name = {"title": "album", "artist": "album_artist"}.get(name, name)
            pairs.append((name, text))
    found.tags = raw_tags.merged(found.tags, raw_tags.named(pairs))
