"""How many events a publisher may still take."""

import asyncio
from collections import deque


class BufferRoom:
    """Places for events, `places` at first. Who finds none waits, and gets one in turn.

    `asyncio.Semaphore` would do as well, but gives places back one by one.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Return with a place."""
        if self._places and not self._waiting:
            self._places -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It had been given a place already.
                self.give_back(1)
            raise

    def give_back(self, places: int) -> None:
        """Give places back, to those who wait first."""
        self._places += places
        while self._places and self._waiting:
            turn = self._waiting.popleft()
            # One that was cancelled waits no more.
            if not turn.done():
                self._places -= 1
                turn.set_result(None)
