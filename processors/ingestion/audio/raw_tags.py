"""Tags as they stand in files, in every form, by one set of names. Broken tags are none: the sound is none the worse.

Sources: ID3v1, ID3v2.4, APEv2, Vorbis I section 5, "Multimedia Programming Interface and Data Specifications 1.0"
(LIST INFO), and Picard's "Tag Mapping" for the names that each form has.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from mutagen._constants import GENRES
from mutagen.id3 import ID3

from songline.processors.ingestion.audio.extent import Extent, TrailingTag, after_zeros, id3_size
from songline.processors.ingestion.audio.sound import RawTags

VALUES_MAX = 100
VALUE_MAX = 6_000
# A tag of a gigabyte in a megabyte unpacks to more than the process may have.
_BROKEN = (Exception,)
_ID3V1 = 128
_ID3_HEAD = 10
_APE_FOOTER = 32
_APE_BINARY = 2
_APE_MAX = 16 << 20
_TEXTS = {
    "title": ("TIT2",),
    "artist": ("TPE1",),
    "artists": ("TXXX:ARTISTS", "TXXX:Artists"),
    "album_artist": ("TPE2",),
    "album": ("TALB",),
    "genre": ("TCON",),
}
_COMMENTS = {
    "title": "title",
    "artist": "artist",
    "artists": "artists",
    "albumartist": "album_artist",
    "album artist": "album_artist",
    "album_artist": "album_artist",
    "album": "album",
    "genre": "genre",
}
_INFO = {b"INAM": "title", b"IART": "artist", b"IPRD": "album", b"IGNR": "genre"}
_UTF8_IN_LATIN1 = re.compile("[\xc2-\xf4][\x80-\xbf]")


def merged(first: RawTags, *others: RawTags) -> RawTags:
    """`first`, and what it does not say from the others, in their order. An album's artist is said in place of none."""
    found = dict(first)
    for other in others:
        for name, values in other.items():
            if not any(map(str.strip, found.get(name, ()))):
                found[name] = values
    return found


def around(file: BinaryIO, extent: Extent) -> RawTags:
    """The tags that stand before and behind the sound of any format: ID3v2 before all others, ID3v1 last."""
    found = list(_id3_before(file, extent.start))
    rank = {"id3v2": 0, "ape": 1, "id3v1": 2}
    behind = sorted((tag for tag in extent.behind if tag.kind in rank), key=lambda tag: rank[tag.kind])
    found += [_BEHIND[tag.kind](file, tag) for tag in behind]
    return merged({}, *found)


def _id3_before(file: BinaryIO, end: int) -> Iterator[RawTags]:
    """The ID3v2 tags before `end`, between zeros."""
    at = 0
    while at < end:
        file.seek(at)
        size = id3_size(file.read(_ID3_HEAD))
        if size is None:
            onward = after_zeros(file, at)
            if onward == at:
                return
            at = onward
        else:
            yield id3_at(file, at)
            at += size


def id3_at(file: BinaryIO, offset: int) -> RawTags:
    """The ID3v2 tag at `offset`."""
    return _read(lambda: _id3(ID3(_From(file, offset), load_v1=False)))


def _id3v1(file: BinaryIO, tag: TrailingTag) -> RawTags:
    """One that is filled with zeros says nothing, though 0 is the genre Blues."""
    file.seek(tag.end - _ID3V1)
    octets = file.read(_ID3V1)
    title, artist, album = (decoded(octets[at : at + 30].partition(b"\0")[0]) for at in (3, 33, 63))
    genre = genre_of(octets[127]) if title.strip() or artist.strip() or album.strip() else None
    return {"title": [title], "artist": [artist], "album": [album], "genre": [] if genre is None else [genre]}


def genre_of(number: int) -> str | None:
    """The name of ID3v1's genre of this number; None where it has none."""
    return str(GENRES[number]) if 0 <= number < len(GENRES) else None


def _ape(file: BinaryIO, tag: TrailingTag) -> RawTags:
    """Items of text; several values of one are divided by NUL."""
    file.seek(tag.end - _APE_FOOTER)
    footer = file.read(_APE_FOOTER)
    count = int.from_bytes(footer[16:20], "little")
    start = tag.start + (_APE_FOOTER if footer[23] & 0x80 else 0)
    file.seek(start)
    octets = file.read(max(0, min(tag.end - _APE_FOOTER - start, _APE_MAX)))
    return named(_ape_items(octets, count))


def _ape_items(octets: bytes, count: int) -> Iterable[tuple[str, str]]:
    at = 0
    for _ in range(min(count, VALUES_MAX)):
        size, flags = int.from_bytes(octets[at : at + 4], "little"), int.from_bytes(octets[at + 4 : at + 8], "little")
        end = octets.find(b"\0", at + 8)
        if end < 0:
            return
        if not flags & _APE_BINARY:
            for value in octets[end + 1 : end + 1 + min(size, VALUE_MAX)].split(b"\0"):
                yield octets[at + 8 : end].decode("ascii", errors="replace"), decoded(value)
        at = end + 1 + size


def vorbis_comments(octets: bytes) -> RawTags:
    """Comments as Ogg and FLAC have them, as far as they are whole."""
    return named(_comments(octets))


def named(pairs: Iterable[tuple[str, str]]) -> RawTags:
    """Tags from pairs of a name, in any case, and a value; several of a name stay several."""
    found: RawTags = {}
    for name, value in pairs:
        known = _COMMENTS.get(name.lower())
        if known is not None and len(found.setdefault(known, [])) < VALUES_MAX:
            found[known].append(value[:VALUE_MAX])
    return found


def info_text(name: bytes, raw: bytes) -> RawTags:
    """A text of a RIFF file's LIST INFO."""
    return {_INFO[name]: [decoded(raw.partition(b"\0")[0])]} if name in _INFO else {}


def decoded(raw: bytes) -> str:
    """Text whose encoding nothing says: UTF-8 where it is that, and else what Western systems wrote."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _comments(octets: bytes) -> Iterable[tuple[str, str]]:
    at = 4 + int.from_bytes(octets[:4], "little")
    count = int.from_bytes(octets[at : at + 4], "little")
    at += 4
    for _ in range(count):
        length = int.from_bytes(octets[at : at + 4], "little")
        if at + 4 > len(octets):
            return
        name, equals, value = octets[at + 4 : at + 4 + min(length, VALUE_MAX)].partition(b"=")
        if equals:
            yield name.decode("ascii", errors="replace"), value.decode(errors="replace")
        at += 4 + length


def _id3(frames: Mapping[str, Any]) -> RawTags:
    found: RawTags = {}
    for name, keys in _TEXTS.items():
        for key in keys:
            frame = frames.get(key)
            if frame is None:
                continue
            # Genres may be numbers, which mutagen names.
            values = getattr(frame, "genres", None) or getattr(frame, "text", [])
            found[name] = [_recoded(str(value), getattr(frame, "encoding", None)) for value in values[:VALUES_MAX]]
            break
    return found


def _recoded(text: str, encoding: object) -> str:
    """`text` in the encoding that it has: some writers put UTF-8 where they say that Latin-1 stands."""
    text = text[:VALUE_MAX]
    if encoding != 0 or not _UTF8_IN_LATIN1.search(text):
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _read(read: Callable[[], RawTags]) -> RawTags:
    try:
        return read()
    except OSError:
        # The disk's fault.
        raise
    except _BROKEN:
        return {}


_BEHIND: Mapping[str, Callable[[BinaryIO, TrailingTag], RawTags]] = {
    "id3v2": lambda file, tag: id3_at(file, tag.start),
    "ape": _ape,
    "id3v1": _id3v1,
}


class _From:
    """A file that begins at `offset` of another, for readers that look at the beginning."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file = file
        self._offset = offset
        file.seek(offset)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset + (self._offset if whence == 0 else 0), whence) - self._offset

    def tell(self) -> int:
        return self._file.tell() - self._offset
