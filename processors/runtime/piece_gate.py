"""The gate of pieces: those of several partitions, and what is folded as usual, go beside one another, or one piece
alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PieceGate:
    """What is folded of all partitions of a process goes through, in the order in which it comes."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._beside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """For the length of the block, others may be folded beside it, and none alone."""
        async with self._turn:
            self._beside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._beside -= 1
            if not self._beside:
                self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """For the length of the block, no other piece is folded: what ends the process then is in this one."""
        async with self._turn:
            await self._empty.wait()
            yield
