"""The history of an audit: a line of JSON for each operation, with its moment and its outcome."""

import time
from collections import Counter
from collections.abc import Callable
from io import BufferedWriter

import msgspec


class OperationHistory:
    """Writes operations to `file` as they end. `counts` has how many there were, by operation and outcome."""

    def __init__(self, file: BufferedWriter, now_s: Callable[[], float] = time.time) -> None:
        self._file, self._now_s = file, now_s
        self._encode = msgspec.json.Encoder().encode
        self.counts: Counter[tuple[str, str]] = Counter()

    def record(self, operation: str, outcome: str, **details: object) -> None:
        """Write an operation that has ended now."""
        self.counts[operation, outcome] += 1
        line = {"at": round(self._now_s(), 3), "operation": operation, "outcome": outcome, **details}
        self._file.write(self._encode(line) + b"\n")

    def by_operation(self) -> dict[str, dict[str, int]]:
        """How many there were, by operation, then by outcome."""
        found: dict[str, dict[str, int]] = {}
        for (operation, outcome), count in self.counts.items():
            found.setdefault(operation, {})[outcome] = count
        return found
