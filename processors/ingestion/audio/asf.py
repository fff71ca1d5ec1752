"""Windows Media files. Source: Microsoft's "Advanced Systems Format Specification 01.20.05", sections 2, 3 and 5."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.chunks import missing
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.sound import RawTags, Sound

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_CONTENT = bytes.fromhex("3326b2758e66cf11a6d900aa0062ce6c")
_EXTENDED = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")
_ENCRYPTED = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
_INDEXES = (
    bytes.fromhex("90080033b1e5cf1189f400a0c90349cb"),
    bytes.fromhex("d329e2d6da35d111903400a0c90349be"),
    bytes.fromhex("f803b1fead12644c840f2a1d2f7ad48c"),
    bytes.fromhex("d03fb73c4a0c034893953df7b6223f8f"),
)
"""What may stand behind the sound: lists of places in it."""
_HEAD = 24
_TEXT_MAX = 1 << 16
_NAMES = {
    "WM/AlbumTitle": "album",
    "WM/AlbumArtist": "album_artist",
    "WM/Genre": "genre",
    "WM/ARTISTS": "artists",
    "Author": "artist",
    "Title": "title",
}
_TICKS = 10_000_000
_BROADCAST = 1
_DATA_HEAD = 26


class AsfObject(NamedTuple):
    """An object: its GUID, where its content begins, and where it ends."""

    guid: bytes
    content: int
    end: int


def read_asf(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a Windows Media file. Raises InvalidAudioError: cut-off, corrupt, not-audio, unsupported."""
    objects = list(_objects(file, extent.start, extent.end))
    data = next((each for each in objects if each.guid == _DATA), None)
    for each in objects:
        if each.end > extent.end and (data is None or each.content <= data.content or each.guid in _INDEXES):
            raise cut_off(each.end, extent.end)
    if not objects or data is None:
        raise InvalidAudioError("cut-off", "The file is cut off: the part with its sound is not there. Send it whole.")
    parts = list(_objects(file, objects[0].content + 6, objects[0].end))
    if any(part.guid in _ENCRYPTED for part in parts):
        raise InvalidAudioError(
            "unsupported", "The file is copy-protected (DRM): only its shop's own player can play it."
        )
    if not any(part.guid == _STREAM and _read(file, part, 0, 16) == _AUDIO for part in parts):
        raise InvalidAudioError("not-audio", "The file has no sound track.")
    properties = next((part for part in parts if part.guid == _FILE), None)
    if properties is None:
        raise missing("its length")
    ticks, preroll_ms = (int.from_bytes(_read(file, properties, at, 8), "little") for at in (40, 56))
    flags, packet_size = (int.from_bytes(_read(file, properties, at, 4), "little") for at in (64, 68))
    tags = raw_tags.merged({}, *(_tags(file, part) for part in parts), raw_tags.around(file, extent))
    if flags & _BROADCAST or not ticks:
        return Sound("wma", _sent_seconds(file, data, extent.end, packet_size), tags)
    return Sound("wma", max(0.0, ticks / _TICKS - preroll_ms / 1000), tags)


def _sent_seconds(file: BinaryIO, data: AsfObject, end: int, packet_size: int) -> float:
    """How long the packets of a file sound whose writer did not go back to say it: they are of one size, and each has
    the moment at which it is sent, and for how long it lasts."""
    start = data.content + _DATA_HEAD
    # Such a writer may not know the length of its data either.
    end = min(data.end, end) if data.end > start else end
    count = (end - start) // packet_size if packet_size else 0
    if count < 1:
        return 0.0
    (first_ms, _), (last_ms, lasts_ms) = (_sent(file, start + number * packet_size) for number in (0, count - 1))
    return max(0, last_ms + lasts_ms - first_ms) / 1000


def _sent(file: BinaryIO, at: int) -> tuple[int, int]:
    """When the packet at `at` is sent, and how long it lasts, in milliseconds."""
    file.seek(at)
    head = file.read(64)
    if len(head) < 64:
        return 0, 0
    place = 1 + (head[0] & 15) if head[0] & 0x80 else 0
    lengths = head[place]
    # Its length, its number and its padding take 0, 1, 2 or 4 bytes each.
    place += 2 + sum((0, 1, 2, 4)[lengths >> bits & 3] for bits in (1, 3, 5))
    return int.from_bytes(head[place : place + 4], "little"), int.from_bytes(head[place + 4 : place + 6], "little")


def _objects(file: BinaryIO, start: int, end: int) -> Iterator[AsfObject]:
    while start + _HEAD <= end:
        file.seek(start)
        head = file.read(_HEAD)
        size = int.from_bytes(head[16:], "little")
        if size < _HEAD:
            return
        yield AsfObject(head[:16], start + _HEAD, start + size)
        start += size


def _read(file: BinaryIO, part: AsfObject, offset: int, size: int) -> bytes:
    file.seek(part.content + offset)
    return file.read(max(0, min(size, part.end - part.content - offset)))


def _tags(file: BinaryIO, part: AsfObject) -> RawTags:
    octets = _read(file, part, 0, _TEXT_MAX)
    if part.guid == _CONTENT:
        sizes = [int.from_bytes(octets[at : at + 2], "little") for at in range(0, 4, 2)]
        title, artist = octets[10 : 10 + sizes[0]], octets[10 + sizes[0] : 10 + sum(sizes)]
        return {"title": [_text(title)], "artist": [_text(artist)]}
    return _extended(octets) if part.guid == _EXTENDED else {}


def _extended(octets: bytes) -> RawTags:
    found: RawTags = {}
    count, at = int.from_bytes(octets[:2], "little"), 2
    for _ in range(min(count, 1000)):
        size = int.from_bytes(octets[at : at + 2], "little")
        name = _text(octets[at + 2 : at + 2 + size])
        at += 2 + size
        kind, length = int.from_bytes(octets[at : at + 2], "little"), int.from_bytes(octets[at + 2 : at + 4], "little")
        if kind == 0 and name in _NAMES:
            found.setdefault(_NAMES[name], []).append(_text(octets[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def _text(octets: bytes) -> str:
    return octets.decode("utf-16-le", errors="replace").rstrip("\0")
