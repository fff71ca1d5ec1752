"""Bytes that are held as the pieces in which they came."""

SMALL = 16 * 1024
"""Pieces of less are joined: a sender chooses how small they are, and each takes memory of its own."""


class HeldBytes:
    """`pieces` together are what was added. Nobody changes them: only a small one at the end grows."""

    def __init__(self) -> None:
        self.pieces: list[bytes | bytearray] = []
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Hold `piece` too, as it is unless it is small."""
        self.size += len(piece)
        if len(piece) >= SMALL:
            self.pieces.append(piece)
        elif self.pieces and isinstance(last := self.pieces[-1], bytearray) and len(last) < SMALL:
            last += piece
        else:
            self.pieces.append(bytearray(piece))

    def joined(self) -> bytes:
        """All of it in one piece."""
        return b"".join(self.pieces)
