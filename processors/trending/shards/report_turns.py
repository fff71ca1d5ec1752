"""When a shard reports, and what: the global charts after each change, the charts of regions and genres less often.

There are hundreds of regional and genre charts, of which so many a second are written as may be. A report that has all
of them costs the shard, the hub and the merge as much as if each were written.
"""

from msgspec import Struct

from songline.processors.trending.spans import MINUTE_MS, has_passed

SCOPED_MS = 2_000
"""The least pause between two reports with the charts of regions and genres."""
LONGEST_SCOPED_MS = 10_000


class ReportTurn(Struct, frozen=True):
    """What a report is to have. `whole`: everything, as if nothing had been reported before. `scoped`: the charts of
    regions and genres that have changed, beside the global ones."""

    whole: bool
    scoped: bool


class LastReports(Struct):
    """The last reports of a shard: when it reported (Unix ms) and up to which offset that goes."""

    minute: int
    applied: int
    whole_ms: int
    scoped_ms: int
    scoped_applied: int
    scoped_pause_ms: float


class ReportTurns:
    """The turns of the shards that one worker holds. Everything is reported every `whole_ms`; `writes` is how many
    charts are written a second at most."""

    def __init__(self, whole_ms: int, writes: int) -> None:
        self._whole_ms = whole_ms
        self._writes = writes
        self._last: dict[int, LastReports] = {}

    def clear(self) -> None:
        """Begin anew: each shard reports everything first."""
        self._last = {}

    def renew(self, shard: int) -> None:
        """Have the shard report everything next."""
        self._last.pop(shard, None)

    def next(self, shard: int, now_ms: int, applied: int) -> ReportTurn | None:
        """What the shard is to report now that it has applied its hub up to an offset; None: nothing."""
        last = self._last.get(shard)
        if last is None or has_passed(self._whole_ms, last.whole_ms, now_ms):
            return ReportTurn(whole=True, scoped=True)
        # Windows slide by the minute, and the lists of all charts are to be of one minute.
        if now_ms // MINUTE_MS != last.minute:
            return ReportTurn(whole=False, scoped=True)
        if applied != last.scoped_applied and has_passed(last.scoped_pause_ms, last.scoped_ms, now_ms):
            return ReportTurn(whole=False, scoped=True)
        return None if applied == last.applied else ReportTurn(whole=False, scoped=False)

    def reported(self, shard: int, turn: ReportTurn, now_ms: int, applied: int, lists: int) -> None:
        """A turn was taken, with so many lists."""
        last = self._last.setdefault(shard, LastReports(0, 0, 0, 0, 0, SCOPED_MS))
        last.minute, last.applied = now_ms // MINUTE_MS, applied
        if turn.whole:
            last.whole_ms = now_ms
        if turn.scoped:
            last.scoped_ms, last.scoped_applied = now_ms, applied
        if turn.scoped and not turn.whole:
            # Half of the writes at least are for these charts: a half of the lists or more is written until the next
            # ones come. If they came faster, most of them would only replace each other.
            pause_ms = 1_000 * lists / self._writes
            last.scoped_pause_ms = min(max(SCOPED_MS, pause_ms), LONGEST_SCOPED_MS)
