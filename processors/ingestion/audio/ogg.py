"""Ogg files: links one after the other (as from a radio on the net), each with its streams side by side.

A link is as long as the granule positions of its first and last page say (RFC 7845 section 4; Vorbis I section A.2):
the first need not be 0, where a file was cut out of a longer recording.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.ogg_codecs import OggCodec, codec_of
from songline.processors.ingestion.audio.ogg_pages import (
    CONTINUED,
    UNKNOWN,
    OggPage,
    check_page,
    first_pages,
    last_page,
    page_at,
    pages_from,
)
from songline.processors.ingestion.audio.sound import RawTags, Sound

PACKET_MAX = 64 << 20


class OggLink(NamedTuple):
    """The first pages of its streams, and where it ends."""

    heads: tuple[OggPage, ...]
    end: int


class OggStream(NamedTuple):
    """The stream of sound of a link: its codec, seconds, and comments."""

    codec: OggCodec
    seconds: float
    tags: RawTags


def read_ogg(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of an Ogg file: the sum of its links, with the titles of the first.

    Raises InvalidAudioError: cut-off, corrupt, not-audio, unsupported.
    """
    first = page_at(file, extent.start)
    if first is None or not first.flags & 2:
        text = "The file's beginning is missing: it starts in the middle of an Ogg stream, which no player can decode."
        raise InvalidAudioError("cut-off", f"{text} Send it whole.")
    check_page(file, first)
    end = _checked_end(file, extent)
    streams = [stream for link in _links(file, extent.start, end) if (stream := _stream(file, link)) is not None]
    if not streams:
        raise _no_sound(file, first)
    tags = raw_tags.merged(streams[0].tags, raw_tags.around(file, extent))
    return Sound(streams[0].codec.format, sum(stream.seconds for stream in streams), tags)


def _checked_end(file: BinaryIO, extent: Extent) -> int:
    """Where the last page ends; raises InvalidAudioError unless it is whole."""
    last = last_page(file, extent.start, extent.end, None)
    if last is None:
        raise InvalidAudioError("corrupt", "The file is damaged: it begins as Ogg and does not end so.")
    if last.end > extent.end:
        raise cut_off(last.end, extent.end)
    check_page(file, last)
    file.seek(last.end)
    rest = file.read(max(0, min(4, extent.end - last.end)))
    if rest and b"OggS".startswith(rest):
        raise cut_off(extent.end + 1, extent.end)
    return last.end


def _links(file: BinaryIO, start: int, end: int) -> Iterator[OggLink]:
    heads: list[OggPage] = []
    for page in first_pages(file, start, end):
        if heads and heads[-1].end != page.offset:
            yield OggLink(tuple(heads), page.offset)
            heads = []
        heads.append(page)
    if heads:
        yield OggLink(tuple(heads), end)


def _stream(file: BinaryIO, link: OggLink) -> OggStream | None:
    """The first stream of sound of `link`."""
    for page in link.heads:
        packets = _packets(file, pages_from(file, page.offset, link.end, page.serial))
        codec = codec_of(next(packets, (b"", page))[0])
        if codec is not None:
            return _measured(file, link, page, codec, packets)
    return None


def _measured(
    file: BinaryIO, link: OggLink, page: OggPage, codec: OggCodec, packets: Iterator[tuple[bytes, OggPage]]
) -> OggStream:
    found: RawTags = {}
    for number in range(1, codec.heads):
        packet = next(packets, (b"", page))[0]
        codec.head(number, packet)
        if number == codec.comments[0]:
            found = raw_tags.vorbis_comments(packet[codec.comments[1] :])
    start = _start(codec, packets)
    last = last_page(file, link.heads[-1].end, link.end, page.serial)
    if start is None or last is None:
        return OggStream(codec, 0.0, found)
    samples = last.granule - start - codec.skipped
    if last.granule >> 63 or last.granule < start:
        text = f"The file is damaged: it begins at sample {start} and ends at sample {last.granule}."
        raise InvalidAudioError("corrupt", text)
    return OggStream(codec, max(0, samples) / codec.rate, found)


def _start(codec: OggCodec, packets: Iterator[tuple[bytes, OggPage]]) -> int | None:
    """The position of the first sample; None without any. It is that of the first page whose position is known, less
    the samples up to there. Where these are more, the first ones are not played."""
    samples, on = 0, None
    for packet, page in packets:
        if on is not None and on.granule != UNKNOWN and page.offset != on.offset:
            break
        samples, on = samples + codec.samples(packet), page
    return None if on is None or on.granule == UNKNOWN else max(0, on.granule - samples)


def _packets(file: BinaryIO, pages: Iterator[OggPage]) -> Iterator[tuple[bytes, OggPage]]:
    """The packets of a stream, each with the page on which it ends."""
    packet = bytearray()
    for page in pages:
        if not page.flags & CONTINUED:
            packet.clear()
        file.seek(page.content)
        content = file.read(page.size)
        at = 0
        for length in page.table:
            packet += content[at : at + length]
            at += length
            if len(packet) > PACKET_MAX:
                raise InvalidAudioError(
                    "corrupt", f"The file is damaged: a packet of it has more than {PACKET_MAX} bytes."
                )
            if length < 255:
                yield bytes(packet), page
                packet.clear()


def _no_sound(file: BinaryIO, first: OggPage) -> InvalidAudioError:
    file.seek(first.content)
    head = file.read(16)
    if head[1:7] == b"theora" or head[:7] in (b"fishead", b"BBCD\0\0\0"):
        return InvalidAudioError("not-audio", "The file has no sound track.")
    return InvalidAudioError(
        "unsupported", "This is an Ogg file of a codec that is none of Vorbis, Opus, FLAC and Speex."
    )
