"""The trending worker with a fault in it that nobody foresaw: what holds the word `culprit` ends a stage's fold.

`SONGLINE_TEST_STAGE`: cells or shards; `SONGLINE_TEST_HOW`: raise or hang.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.cells.wire import Partial
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.process import main
from songline.processors.trending.shards.state import Shard

WORD = "culprit"


def crash() -> None:
    how = os.environ["SONGLINE_TEST_HOW"]
    if how == "hang":
        time.sleep(600)
    raise RuntimeError("nobody foresaw it")


def holds(what: Any) -> bool:
    match what:
        case Batch():
            return any(WORD.encode() in body for body in what.bodies)
        case Partial():
            return any(WORD in song for song in (*what.minutes.songs, *what.hours.songs))
    return False


def crashing(fold: Callable[..., Any]) -> Callable[..., Any]:
    def folding(self: Any, *what: Any) -> Any:
        if any(map(holds, what)):
            crash()
        return fold(self, *what)

    return folding


if __name__ == "__main__":
    match os.environ["SONGLINE_TEST_STAGE"]:
        case "cells":
            SourcePartition.apply = crashing(SourcePartition.apply)  # type: ignore[method-assign]
        case "shards":
            Shard.apply = crashing(Shard.apply)  # type: ignore[method-assign]
    main()
