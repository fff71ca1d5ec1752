"""The counts of a running import. They add up by construction: each row is counted once, by what became of it."""

from collections import Counter

from songline.processors.imports.rows import SkipReason
from songline.schemas.imports import ImportCounts


class ImportTally:
    """Counts rows."""

    def __init__(self) -> None:
        self._taken: Counter[bool] = Counter()
        self._known = 0
        self._skipped: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()

    def count_taken(self, format_name: str, *, is_matched: bool) -> None:
        """Count a listen that was taken."""
        self._formats[format_name] += 1
        self._taken[is_matched] += 1

    def count_known(self, format_name: str) -> None:
        """Count a listen that an import before had."""
        self._formats[format_name] += 1
        self._known += 1

    def count_skipped(self, format_name: str, reason: SkipReason) -> None:
        """Count a row that is no listen."""
        self._formats[format_name] += 1
        self._skipped[reason] += 1

    @property
    def counts(self) -> ImportCounts:
        """The counts so far."""
        taken = self._taken.total()
        return ImportCounts(
            read=taken + self._known + self._skipped.total(),
            taken=taken,
            known=self._known,
            matched=self._taken[True],
            by_name=self._taken[False],
            skipped=dict(sorted(self._skipped.items())),
            formats=dict(sorted(self._formats.items())),
        )
