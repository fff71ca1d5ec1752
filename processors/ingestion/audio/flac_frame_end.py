"""Where a frame of FLAC ends, for files with something behind it. Nothing in a frame says how long it is: it is as long
as its samples take.

Source: RFC 9639 sections 9.1.3 (channels), 9.1.4 (bits), 9.2 (subframes).
"""

from songline.processors.ingestion.audio.flac_frames import crc16, read_frame

_BITS = (0, 8, 12, 0, 16, 20, 24, 32)
_STEREO = 8
_LEFT_SIDE, _SIDE_RIGHT, _MID_SIDE = 8, 9, 10
_ESCAPES = (15, 31)


class _Bits:
    """Bits of a frame, read one number after the other. Raises ValueError where they end."""

    def __init__(self, octets: bytes) -> None:
        self._bits = f"{int.from_bytes(octets):0{8 * len(octets)}b}"
        self.at = 0

    def number(self, count: int) -> int:
        end = self.at + count
        taken, self.at = self._bits[self.at : end], end
        return int(taken, 2) if count else 0

    def skip(self, count: int) -> None:
        self.at += count

    def ones(self, count: int, behind: int) -> None:
        """Pass over `count` numbers in unary, each with `behind` bits behind it."""
        at = self.at
        for _ in range(count):
            at = self._bits.index("1", at) + 1 + behind
        self.at = at


def frame_end(octets: bytes, head: int, bits: int) -> int | None:
    """The length of the frame that `octets` begin with, whose header has `head` bytes; None where it is not whole, or
    its checksum is wrong. `bits` are those of a sample by STREAMINFO."""
    frame = read_frame(octets[:head], 0)
    if frame is None:
        return None
    channels = octets[3] >> 4
    width = _BITS[octets[3] >> 1 & 7] or bits
    count = channels + 1 if channels < _STEREO else 2
    sides = {_LEFT_SIDE: (0, 1), _SIDE_RIGHT: (1, 0), _MID_SIDE: (0, 1)}.get(channels, (0,) * count)
    found = _Bits(octets[head:])
    try:
        for side in sides:
            _subframe(found, width + side, frame.samples)
    except ValueError:
        return None
    end = head + -(-found.at // 8) + 2
    return end if end <= len(octets) and crc16(octets[:end]) == 0 else None


def _subframe(found: _Bits, width: int, samples: int) -> None:
    kind = found.number(7)
    if found.number(1):
        wasted = found.at
        found.ones(1, 0)
        width -= found.at - wasted
    if kind == 0:
        found.skip(width)
    elif kind == 1:
        found.skip(width * samples)
    elif 8 <= kind <= 12:
        found.skip((kind - 8) * width)
        _residual(found, samples, kind - 8)
    elif 32 <= kind < 64:
        order = kind - 31
        found.skip(order * width)
        precision = found.number(4) + 1
        found.skip(5 + order * precision)
        _residual(found, samples, order)
    else:
        raise ValueError(kind)


def _residual(found: _Bits, samples: int, order: int) -> None:
    wide, partitions = found.number(2), found.number(4)
    if wide > 1:
        raise ValueError(wide)
    for number in range(1 << partitions):
        count = max(0, (samples >> partitions) - (0 if number else order))
        parameter = found.number(5 if wide else 4)
        if parameter == _ESCAPES[wide]:
            found.skip(found.number(5) * count)
        else:
            found.ones(count, parameter)
