"""A block as the body of a request."""

from collections.abc import Iterator

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

_PIECE = 64 * 1024


class BlockBody(Payload):
    """The bytes of `block`, which nobody changes meanwhile, in pieces: of a body that is one piece the connection holds
    a copy of what the socket has not taken.

    It is sent from its begin each time, by the SDK's retries and by aiohttp's: that sends a request once more where a
    kept connection ends, at once, but not one whose body it takes for used up, as it does with any iterator.
    """

    _autoclose = True
    """There is nothing to close."""

    def __init__(self, block: bytearray) -> None:
        super().__init__(block, content_type="application/octet-stream")
        self._block = block
        self._size = len(block)

    def __iter__(self) -> Iterator[bytes]:
        with memoryview(self._block) as block:
            for start in range(0, len(block), _PIECE):
                yield bytes(block[start : start + _PIECE])

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all pieces."""
        for piece in self:
            await writer.write(piece)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raises TypeError: a block is no text."""
        raise TypeError("a block is no text")
