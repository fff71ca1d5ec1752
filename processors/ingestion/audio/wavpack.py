"""WavPack files: blocks, each with its samples. Source: "WavPack 4 & 5 Binary File / Block Format", sections 2, 3."""

from typing import BinaryIO, NamedTuple

from songline.processors.ingestion.audio import raw_tags
from songline.processors.ingestion.audio.extent import Extent
from songline.processors.ingestion.audio.invalid_audio import InvalidAudioError, cut_off
from songline.processors.ingestion.audio.sound import RATES, Sound, bad_rate

_HEAD = 32
_RATES = (
    6000,
    8000,
    9600,
    11_025,
    12_000,
    16_000,
    22_050,
    24_000,
    32_000,
    44_100,
    48_000,
    64_000,
    88_200,
    96_000,
    192_000,
)
_FIRST, _DSD = 0x800, 0x8000_0000
_RATE_ITEM, _DSD_ITEM = 0x27, 0x0E
_LARGE, _ODD = 0x80, 0x40


class WavPackBlock(NamedTuple):
    """A block: its end, samples (of its first stream: other streams sound at the same time), flags and items' start."""

    end: int
    samples: int
    flags: int
    items: int


def read_wavpack(file: BinaryIO, extent: Extent) -> Sound:
    """The sound of a WavPack file, from its blocks. Raises InvalidAudioError: cut-off, corrupt."""
    at, samples, rate = extent.start, 0, 0
    while at + _HEAD <= extent.end:
        block = _block(file, at)
        if block is None:
            break
        if block.end > extent.end:
            raise cut_off(block.end, extent.end)
        if block.samples and not rate:
            rate = _rate(file, block)
        samples += block.samples
        at = block.end
    rest = extent.end - at
    file.seek(at)
    if 0 < rest < _HEAD and b"wvpk".startswith(file.read(4)[:rest]):
        raise cut_off(at + _HEAD, extent.end)
    if rate not in RATES:
        raise bad_rate(rate)
    return Sound("wv", samples / rate, raw_tags.around(file, extent))


def _block(file: BinaryIO, at: int) -> WavPackBlock | None:
    file.seek(at)
    head = file.read(_HEAD)
    if head[:4] != b"wvpk":
        return None
    size, samples, flags = (int.from_bytes(head[place : place + 4], "little") for place in (4, 20, 24))
    if size < _HEAD - 8:
        raise InvalidAudioError("corrupt", f"The file is damaged: a part of {size} bytes at byte {at} can't be.")
    return WavPackBlock(at + 8 + size, samples if flags & _FIRST else 0, flags, at + _HEAD)


def _rate(file: BinaryIO, block: WavPackBlock) -> int:
    """Samples a second: by its number in the flags, or in an item; of one-bit sound, bytes a second."""
    code = block.flags >> 23 & 15
    rate, faster = _RATES[code] if code < len(_RATES) else 0, 0
    at = block.items
    while at + 2 <= block.end:
        file.seek(at)
        head = file.read(4)
        size = 2 * (int.from_bytes(head[1:4], "little") if head[0] & _LARGE else head[1])
        at += 4 if head[0] & _LARGE else 2
        file.seek(at)
        item = file.read(min(size, 4))
        if head[0] & 0x3F == _RATE_ITEM and not code < len(_RATES):
            rate = int.from_bytes(item[: 3 if head[0] & _ODD else 4], "little")
        elif head[0] & 0x3F == _DSD_ITEM and block.flags & _DSD and item:
            faster = item[0] & 31
        at += size
    return rate << faster
