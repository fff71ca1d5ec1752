"""How slow a body may come in: a slow sender is waited for, one that sends next to nothing is not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

from msgspec import Struct
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from songline.cloud.settings import read_number
from songline.producers.http.problems import RequestDeclinedError

SILENCE, LEAST, DEADLINE = "SONGLINE_BODY_SILENCE", "SONGLINE_BODY_LEAST", "SONGLINE_BODY_DEADLINE"


class BodyPaceConfig(Struct, frozen=True):
    """A sender may be silent for `silence_s` seconds at a time, and earns them again at `least` bytes a second: at less
    it runs out of them. All of a body has `deadline_s` seconds."""

    silence_s: float = 30.0
    least: float = 2_000.0
    deadline_s: float = 7_200.0

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "BodyPaceConfig":
        """Raises SettingError."""
        usual = cls()
        return cls(
            read_number(environ, SILENCE, usual.silence_s, (0.1, 3_600), "seconds that a sender may be silent,"),
            read_number(environ, LEAST, usual.least, (1, 1e9), "bytes a second that are sent at least,"),
            read_number(environ, DEADLINE, usual.deadline_s, (1, 604_800), "seconds that a body may take,"),
        )


class BodyPaceMeter:
    """What one sender has left. Times are seconds of one steady clock; only those in which the sender is waited for
    count against its pace."""

    def __init__(self, pace: BodyPaceConfig, now: float) -> None:
        self.pace = pace
        self._began, self._left = now, pace.silence_s
        self._waiting_since: float | None = None
        self.received = 0
        self.displaced = False
        self._cut: Callable[[], None] | None = None

    def wait(self, now: float, cut: Callable[[], None] | None = None) -> float:
        """The sender is waited for from now on; until when at most. `cut` ends the wait at once."""
        self._waiting_since, self._cut = now, cut
        return min(now + self._left, self._began + self.pace.deadline_s)

    def record(self, size: int, now: float) -> None:
        """So many bytes came."""
        self._left = min(self.pace.silence_s, self.left(now) + size / self.pace.least)
        self._waiting_since = self._cut = None
        self.received += size

    def left(self, now: float) -> float:
        """Seconds of silence that the sender still has."""
        return self._left - (0.0 if self._waiting_since is None else now - self._waiting_since)

    def is_stalling(self, now: float) -> bool:
        """Whether the sender used up half of its silence, so that a sender that waits for a place goes before it."""
        return self.left(now) < self.pace.silence_s / 2

    def displace(self) -> None:
        """Another sender gets the place of this one."""
        self.displaced = True
        if self._cut is not None:
            self._cut()

    def explain(self, now: float) -> str:
        """Why the sender is not waited for any more."""
        seconds = now - self._began
        seen = f"{self.received} bytes came in {seconds:.0f} s"
        if self.displaced:
            return f"{seen}, and others wait: expected {self.pace.least:g} bytes a second"
        if seconds >= self.pace.deadline_s:
            return f"{seen}, expected all of the body within {self.pace.deadline_s:g} s"
        return (
            f"{seen}, expected {self.pace.least:g} bytes a second and no silence of more than {self.pace.silence_s:g} s"
        )


def started(pace: BodyPaceConfig) -> BodyPaceMeter:
    """The meter of a sender that begins now."""
    return BodyPaceMeter(pace, asyncio.get_running_loop().time())


async def pieces(receive: Receive, meter: BodyPaceMeter, title: str) -> AsyncIterator[bytes]:
    """The body of a request as it comes; `receive` is ASGI's.

    Raises RequestDeclinedError (408, with this title) where it comes too slowly, and ClientDisconnect.
    """
    loop = asyncio.get_running_loop()
    is_whole = False
    while not is_whole:
        try:
            async with asyncio.timeout(None) as timeout:

                def cut(timeout: asyncio.Timeout = timeout) -> None:
                    with suppress(RuntimeError):
                        timeout.reschedule(loop.time())

                timeout.reschedule(meter.wait(loop.time(), cut))
                message = await receive()
        except TimeoutError:
            raise _too_slow(meter, title) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece, is_whole = message.get("body", b""), not message.get("more_body", False)
        meter.record(len(piece), loop.time())
        if meter.displaced:
            raise _too_slow(meter, title)
        if piece:
            yield piece


def _too_slow(meter: BodyPaceMeter, title: str) -> RequestDeclinedError:
    return RequestDeclinedError(408, title, f"{meter.explain(asyncio.get_running_loop().time())}. Send it again.")
