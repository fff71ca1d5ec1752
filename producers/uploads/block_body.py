"""A block as the body of a request."""

from collections.abc import Iterator, Sequence

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

_SENT = 256 * 1024


class BlockBody(Payload):
    """The bytes of `pieces`, which nobody changes meanwhile. They are sent in views of 256 KiB: what the socket does
    not take of one, the connection copies.

    It is sent from its begin each time, by the SDK's retries and by aiohttp's: that sends a request once more where a
    kept connection ends, at once, but not one whose body it takes for used up, as it does with any iterator.
    """

    _autoclose = True
    """There is nothing to close."""

    def __init__(self, pieces: Sequence[bytes | bytearray]) -> None:
        super().__init__(pieces, content_type="application/octet-stream")
        self._pieces = pieces
        self._size = sum(map(len, pieces))

    def __iter__(self) -> Iterator[memoryview]:
        for piece in self._pieces:
            whole = memoryview(piece)
            for start in range(0, len(whole), _SENT):
                yield whole[start : start + _SENT]

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all pieces."""
        for view in self:
            await writer.write(view)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raises TypeError: a block is no text."""
        raise TypeError("a block is no text")
