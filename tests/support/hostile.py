"""Files that somebody might upload: broken, renamed, not audio, made to do harm. Each with what must become of it."""

import random
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from songline.processors.ingestion.audio.ogg_pages import ogg_crc
from tests.support.audio import FORMATS, id3, mp3_frames, song

READY = "ready"
TAGS = {"title": "Paper Lanterns", "artist": "Nova Reed", "album": "Dusk", "genre": "Indie"}


class Case(NamedTuple):
    """`outcome` is READY or the cause of the rejection."""

    file_name: str
    content: bytes
    outcome: str


def corpus() -> dict[str, Case]:
    """Every case by its name; the same bytes every time."""
    return {**broken(), **renamed(), **strange_tags(), **bombs(), **no_audio(), **other_audio()}


@cache
def broken() -> Mapping[str, Case]:
    cases = {"empty": Case("song.mp3", b"", "empty"), "one byte": Case("song.mp3", b"\xff", "not-audio")}
    for name in FORMATS:
        whole = song(name, 2.0, tags=TAGS)
        for percent in (20, 50, 90):
            cases[f"{name} cut at {percent} %"] = Case(f"song.{name}", whole[: len(whole) * percent // 100], "cut-off")
    wav, flac, m4a = song("wav"), song("flac"), song("m4a")
    cases["wav without sound"] = Case("song.wav", wav[:4] + struct.pack("<I", 28) + wav[8:36], "corrupt")
    cases["flac of nothing but a header"] = Case("song.flac", flac[:42], "cut-off")
    cases["m4a with a broken index"] = Case("song.m4a", m4a.replace(b"trak", b"tra\0"), "not-audio")
    cases["mp3 that is half noise"] = Case("song.mp3", _interleaved(mp3_frames(4.0)), "corrupt")
    cases["mp3 cut off within its tag"] = Case(
        "song.mp3", id3((b"TIT2", b"\0\0", b"\x03" + b"x" * 999))[:500], "cut-off"
    )
    cases["an unfinished recording"] = Case("song.wav", _unfinished(wav), READY)
    cases.update(contradictory())
    cases["mp3 from the air, cut anywhere"] = Case("song.mp3", mp3_frames(4.0)[100:9000], READY)
    return cases


def contradictory() -> dict[str, Case]:
    """Files of which one part says what another belies."""
    mp3, flac, ogg, opus, wav, aiff = (song(name) for name in ("mp3", "flac", "ogg", "opus", "wav", "aiff"))
    info = flac.index(b"fLaC") + 8
    common = aiff.index(b"COMM") + 8
    last = ogg.rindex(b"OggS") + 6
    return {
        "mp3 without its last bytes": Case("song.mp3", mp3[:-10], "cut-off"),
        "flac of another speed": Case("song.flac", _with(flac, info + 10, b"\xff"), "corrupt"),
        "flac that is longer than it says": Case("song.flac", _with(flac, info + 14, b"\0\0\0\x09"), "corrupt"),
        "ogg that says it lasts days": Case("song.ogg", _with(ogg, last + 4, b"\x01"), "corrupt"),
        "opus with a damaged head": Case("song.opus", _with(opus, 27, b"\x09"), "corrupt"),
        "opus whose head is short": Case("song.opus", _signed(_with(opus, 27, b"\x09")), "corrupt"),
        "m4a nested beyond measure": Case("song.m4a", _nested(5000), "not-audio"),
        "wav of bytes that don't add up": Case("song.wav", _with(wav, 32, b"\x09"), "corrupt"),
        "wav at 68 Hz": Case("song.wav", _with(wav, 24, b"\x44\0"), "corrupt"),
        "aiff of more sound than it holds": Case("song.aiff", _with(aiff, common + 2, b"\x01"), "corrupt"),
        "aiff without channels": Case("song.aiff", _with(aiff, common, bytes(2)), "corrupt"),
    }


def renamed() -> dict[str, Case]:
    names = list(FORMATS)
    return {
        f"{name} called .{other}": Case(f"song.{other}", song(name, 1.0), READY)
        for name in names
        for other in [*names, "exe"]
        if other != name
    }


def strange_tags() -> dict[str, Case]:
    frames = mp3_frames(2.0)
    return {
        "tag of control characters": Case(
            "a.mp3", id3((b"TIT2", b"\0\0", b"\x03\x01\x02\x1b[31m\x7f")) + frames, READY
        ),
        "tag in no encoding": Case("a.mp3", id3((b"TIT2", b"\0\0", b"\x09\xff\xfe\xfa")) + frames, READY),
        "tag that lies about its frames": Case(
            "a.mp3", b"ID3\x04\0\0\0\0\0\x14TIT2\x7f\x7f\x7f\x7f\0\0abcdefghij" + frames, READY
        ),
        "tag of a version to come": Case("a.mp3", b"ID3\x09\0\0\0\0\0\x0a" + b"\xee" * 10 + frames, READY),
        "title of a megabyte": Case("a.mp3", id3((b"TIT2", b"\0\0", b"\x03" + b"na " * 350_000)) + frames, READY),
        "four thousand frames": Case("a.mp3", id3(*[(b"TXXX", b"\0\0", b"\x03k\0v")] * 4000) + frames, READY),
        "title and nothing else": Case("a.mp3", id3((b"TIT2", b"\0\0", b"\x03only this")), "cut-off"),
    }


def bombs() -> dict[str, Case]:
    """Zip bombs of tags: ID3 frames may be compressed, a thousand to one."""
    frames = mp3_frames(2.0)
    one = struct.pack(">I", 0x0FFFFFFF) + _zeros(1 << 30)
    many = struct.pack(">I", 0x0FFFFFFF) + _zeros(200 << 20)
    compressed = b"\x00\x09"
    return {
        "a tag of a gigabyte in a megabyte": Case("a.mp3", id3((b"TXXX", compressed, one)) + frames, READY),
        "many tags that are too much together": Case("a.mp3", id3(*[(b"TXXX", compressed, many)] * 8) + frames, READY),
    }


def no_audio() -> dict[str, Case]:
    noise = random.Random(42)
    files = {
        "noise": noise.randbytes(100_000),
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "a png": b"\x89PNG\r\n\x1a\n" + noise.randbytes(5_000),
        "a zip": b"PK\x03\x04" + noise.randbytes(5_000),
        "a web page": b"<!DOCTYPE html><html><body>404</body></html>",
        "a text": b"The quick brown fox\n" * 500,
        "a film without sound": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x08mdat",
    }
    cases = {name: Case("song.mp3", content, "not-audio") for name, content in files.items()}
    cases["a film without sound"] = cases["a film without sound"]._replace(outcome="cut-off")
    return cases


def other_audio() -> dict[str, Case]:
    return {
        "musepack": Case("a.mpc", b"MPCK" + bytes(500), "cut-off"),
        "musepack of an old version": Case("a.mpc", b"MP+\x05" + bytes(500), "unsupported"),
        "tak": Case("a.tak", b"tBaK" + bytes(500), "unsupported"),
        "a playlist": Case("a.m3u", b"#EXTM3U\nsong.mp3\n", "unsupported"),
        "wma": Case("a.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(500), "cut-off"),
        "webm": Case("a.webm", b"\x1aE\xdf\xa3" + bytes(500), "cut-off"),
        "midi": Case("a.mid", b"MThd\0\0\0\x06" + bytes(500), "unsupported"),
        "aac": Case("a.aac", b"\xff\xf1\x50\x80" + bytes(500), "not-audio"),
    }


def _interleaved(frames: bytes) -> bytes:
    noise = random.Random(7)
    parts = [
        frames[at : at + 2000] + noise.randbytes(2000).replace(b"\xff", b"\0") for at in range(0, len(frames), 2000)
    ]
    return b"".join(parts)


def _with(content: bytes, at: int, octets: bytes) -> bytes:
    return content[:at] + octets + content[at + len(octets) :]


def _signed(ogg: bytes) -> bytes:
    """With the checksum of its first page made right again."""
    end = 28 + ogg[27] if ogg[26] == 1 else 0
    return _with(ogg, 22, ogg_crc(ogg[:22] + bytes(4) + ogg[26:end]).to_bytes(4, "little"))


def _nested(depth: int) -> bytes:
    """An MP4 whose index holds an index, and so on."""
    boxes = b""
    for _ in range(depth):
        boxes = struct.pack(">I", len(boxes) + 8) + b"moov" + boxes
    return b"\0\0\0\x18ftypM4A \0\0\0\0M4A isom" + boxes + b"\0\0\0\x10mdat" + bytes(8)


def _unfinished(wav: bytes) -> bytes:
    at = wav.index(b"data") + 4
    return wav[:4] + b"\xff" * 4 + wav[8:at] + b"\xff" * 4 + wav[at + 4 :]


def _zeros(length: int) -> bytes:
    """So many zeros, a thousandfold compressed: one block after the other, and their checksum (RFC 1950)."""
    packer = zlib.compressobj(9, wbits=-15)
    plain = bytes(1 << 20)
    block = packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 1
    for _ in range(length >> 20):
        checksum = zlib.adler32(plain, checksum)
    return b"\x78\xda" + block * (length >> 20) + b"\x03\x00" + struct.pack(">I", checksum)
