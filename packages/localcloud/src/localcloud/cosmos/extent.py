"""A part of a container: a span of effective partition keys."""

from dataclasses import dataclass

from localcloud.cosmos.partition import MAX_EPK, MIN_EPK


@dataclass(frozen=True, slots=True)
class Extent:
    """Effective partition keys from `low` up to, but not including, `high`.

    `pk` is the text of a full partition key when it is a single one, and `low` its effective partition key.
    """

    low: str = MIN_EPK
    high: str = MAX_EPK
    pk: str | None = None

    def within(self, low: str, high: str) -> "Extent":
        return Extent(max(self.low, low), min(self.high, high), self.pk)

    @property
    def bounds(self) -> tuple[str, str, str | None]:
        """As a continuation token holds it."""
        return self.low, self.high, self.pk
