"""Moments of the past for the API: each is folded by a process of its own, a few at a time, and its answer is kept."""

import asyncio
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

from songline.cloud.extras import DISTRIBUTION
from songline.cloud.settings import BLOB_CONNECTION, BLOB_ENDPOINT, names_blobs, read_number
from songline.processors.history.as_of.answers import ChartsQuestion, LibraryQuestion
from songline.projections.past import (
    ListenerAsOf,
    LiveCharts,
    NoPast,
    PastMomentError,
    PastReader,
    PastUnavailableError,
    TooManyMomentsError,
)
from songline.schemas.decoding import Decoder
from songline.schemas.documents import Chart
from songline.schemas.errors import PoisonError

AS_OF_S = "SONGLINE_AS_OF_SECONDS"
AS_OF_AT_ONCE = "SONGLINE_AS_OF_AT_ONCE"

WAITING = 8
"""So many folds may wait for their turn; more are refused."""
EACH = 3
"""So many folds of one caller may be under way or wait: whoever gives up waiting has not ended theirs."""
KEPT = 16
"""Answers that are kept: those of charts take some megabytes each."""
LISTENER_KEPT_S = 30.0
"""A listener's library is kept for so long, for the pages of a list: the past of one who is forgotten changes."""
SETTLED_S = 10
"""What the hub takes in a second may be read so long after it. The answer about a later second is not kept."""

MODULE = "songline.processors.history.as_of"
NEEDED = ("fastavro", "cramjam", "numpy")

T = TypeVar("T")


class PastConfig(Struct, frozen=True):
    """A fold may take `longest_s` seconds, and `at_once` are done at a time."""

    longest_s: float = 120.0
    at_once: int = 1

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "PastConfig":
        """The configuration in the environment's variables; raises SettingError."""
        return cls(
            longest_s=read_number(environ, AS_OF_S, 120.0, (1, 600), "seconds that a fold of the past may take,"),
            at_once=int(read_number(environ, AS_OF_AT_ONCE, 1, (1, 16), "folds of the past at a time,")),
        )


def past_reader(environ: Mapping[str, str]) -> PastReader:
    """The past of the archive that the environment names. Raises SettingError."""
    if missing := next((name for name in NEEDED if find_spec(name) is None), None):
        return NoPast(f"this API lacks {missing}: pip install '{DISTRIBUTION}[history]'")
    if not names_blobs(environ):
        return NoPast(f"this API has no Blob Storage with the archive: {BLOB_CONNECTION} or {BLOB_ENDPOINT} names it")
    return PastFolds((sys.executable, "-m", MODULE), environ, PastConfig.read(environ), time.time)


class FoldUnderWay(Struct, frozen=True):
    """A fold, who asked for it first, and when it was begun, in Unix seconds: it may have read no later event."""

    task: asyncio.Task[bytes]
    asker: str | None
    began_s: float


class PastFolds:
    """Folds moments by the program `command`, which reads a question and writes its answer. `now_s` is Unix seconds.

    Who asks what is being folded waits for that fold.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], config: PastConfig, now_s: Callable[[], float]
    ) -> None:
        self._command = command
        self._environ = dict(environ)
        self._config = config
        self._now_s = now_s
        self._turns = asyncio.Semaphore(config.at_once)
        self._folds: dict[bytes, FoldUnderWay] = {}
        self._kept: OrderedDict[bytes, tuple[Any, float]] = OrderedDict()

    async def chart(self, key: str, second: int, asker: str | None, live: LiveCharts) -> Chart:
        """The chart of a key as of a Unix second, by the rules of the live version. Raises PastMomentError,
        TooManyMomentsError, PastUnavailableError, and what `live` raises."""
        found = await self._answer(ChartsQuestion(second, await live()), asker, _charts)
        kind, window, scope = key.split(":", 2)
        if (chart := found.charts.get(key)) is not None:
            return chart
        return structs.replace(found.empty, kind=kind, window=window, scope=scope)

    async def library(self, user_id: str, second: int, asker: str | None) -> ListenerAsOf:
        """A listener's library as of a Unix second. Raises as `chart` does."""
        return await self._answer(LibraryQuestion(second, user_id), asker, _libraries)

    async def _answer(self, question: ChartsQuestion | LibraryQuestion, asker: str | None, decoder: Decoder[T]) -> T:
        asked = msgspec.json.encode(question)
        self._drop_old()
        if asked in self._kept:
            self._kept.move_to_end(asked)
            kept: T = self._kept[asked][0]
            return kept
        fold = self._folds.get(asked)
        if fold is None:
            if asker is not None and [one.asker for one in self._folds.values()].count(asker) >= EACH:
                raise TooManyMomentsError(f"{asker}: saw {EACH} others being folded, expected {EACH} at most at a time")
            if len(self._folds) >= self._config.at_once + WAITING:
                raise PastUnavailableError(f"{len(self._folds)} moments are being folded; ask again later")
            task = asyncio.create_task(self._fold(asked))
            fold = self._folds[asked] = FoldUnderWay(task, asker, self._now_s())
            task.add_done_callback(lambda done: self._forget(asked, done))
        written = await asyncio.shield(fold.task)
        try:
            outcome = _outcomes.decode(written)
            if outcome.type == "refusal":
                raise PastMomentError(outcome.sentence)
            if outcome.type == "failure":
                raise PastUnavailableError(outcome.sentence)
            # All charts of a moment take some milliseconds to decode, for which the loop need not wait.
            found = await asyncio.to_thread(decoder.decode, written)
        except PoisonError as poison:
            raise PastUnavailableError(f"what the fold wrote is no answer: {poison.detail}") from None
        if question.second + SETTLED_S <= fold.began_s:
            lasts_s = LISTENER_KEPT_S if isinstance(question, LibraryQuestion) else math.inf
            self._kept[asked] = found, self._now_s() + lasts_s
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def _drop_old(self) -> None:
        now_s = self._now_s()
        for asked in [one for one, (_, until_s) in self._kept.items() if until_s <= now_s]:
            del self._kept[asked]

    async def _fold(self, asked: bytes) -> bytes:
        async with self._turns:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(self._config.longest_s):
                    written, said = await process.communicate(asked)
            except TimeoutError:
                raise PastUnavailableError(
                    f"the fold was ended after {self._config.longest_s:g} s, which {AS_OF_S} sets; a moment with less "
                    "before it, or a longer time, may have an answer"
                ) from None
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        if process.returncode:
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            raise PastUnavailableError(f"the fold ended with code {process.returncode}: {last[:300]}")
        return written

    def _forget(self, asked: bytes, done: asyncio.Task[bytes]) -> None:
        del self._folds[asked]
        if not done.cancelled():
            # Nobody may be waiting for it any more.
            done.exception()


class _Charts(Struct, frozen=True):
    charts: dict[str, Chart]
    empty: Chart


class _Outcome(Struct, frozen=True):
    type: str
    sentence: str = ""


_charts = Decoder(_Charts, "not-an-answer")
_libraries = Decoder(ListenerAsOf, "not-an-answer")
_outcomes = Decoder(_Outcome, "not-an-answer")
