"""What batches of a partition said of songs and names, held until it is written. Pure."""

from collections.abc import Sequence

from songline.processors.catalog.fold import ParsedSongBatch
from songline.schemas.name_matches import MatchStatement
from songline.schemas.ownership import merge
from songline.schemas.songs import Fact


class HeldFacts:
    """By song, the last fact of each user and the facts of events that were sent again; what is said of names, in
    order. However many batches speak of a song, it is one write."""

    def __init__(self) -> None:
        self._facts: dict[str, dict[str | None, Fact]] = {}
        self._resubmitted: dict[str, tuple[Fact, ...]] = {}
        self.matches: list[tuple[str, MatchStatement]] = []

    def __len__(self) -> int:
        """How many songs and statements are held."""
        return len(self.songs) + len(self.matches)

    @property
    def songs(self) -> list[str]:
        """The songs of which something is held, in the order in which they came."""
        return list(self._facts | self._resubmitted)

    def add(self, batch: ParsedSongBatch) -> None:
        """Hold what the partition's next batch says."""
        for song_id, facts in batch.facts.items():
            by_user = self._facts.setdefault(song_id, {})
            for fact in facts:
                known = by_user.get(fact.user_id)
                by_user[fact.user_id] = fact if known is None else merge(known, fact)
        for song_id, facts in batch.resubmitted.items():
            self._resubmitted[song_id] = (*self._resubmitted.get(song_id, ()), *facts)
        self.matches += batch.matches

    def of(self, song_id: str) -> tuple[Sequence[Fact], Sequence[Fact]]:
        """The facts about a song, and those that were sent again."""
        return tuple(self._facts.get(song_id, {}).values()), self._resubmitted.get(song_id, ())

    def remove(self, song_id: str) -> None:
        """Hold nothing about a song: it is written."""
        self._facts.pop(song_id, None)
        self._resubmitted.pop(song_id, None)
