"""What a shard has reported to the merge, so that a report has only what is new."""

from collections.abc import Iterable

from songline.processors.trending.shards.wire import TopK


class ReportedLists:
    """The top lists that were reported last, by chart, and the songs whose labels were reported."""

    def __init__(self) -> None:
        self._lists: dict[str, TopK] = {}
        self._songs: set[str] = set()
        self._relabelled: set[str] = set()

    def relabel(self, song_id: str) -> None:
        """The label of a song has changed: it is reported again if it was before."""
        self._relabelled.add(song_id)

    def report(self, lists: Iterable[tuple[str, TopK]], *, whole: bool) -> tuple[list[str], dict[str, TopK]]:
        """The songs whose labels are new, and the lists that differ from what was reported last, by chart.

        `whole`: report everything, as if nothing had been reported before.
        """
        if whole:
            self._lists, self._songs = {}, set()
        changed = {key: top for key, top in lists if self._differs(key, top)}
        self._lists |= changed
        songs = {song for top in changed.values() for song in top.song} - self._songs
        self._songs |= songs
        songs |= self._relabelled & self._songs
        self._relabelled = set()
        return sorted(songs), changed

    def _differs(self, key: str, top: TopK) -> bool:
        known = self._lists.get(key)
        return top != known if known is not None else bool(top.song)
