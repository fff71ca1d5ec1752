"""The merge: the shards' top lists to charts."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from songline.processors.trending.policy import MINUTE_MS, SCALE_BITS, VERSION, moment
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.watermark import ShardWatermark, common_positions, common_watermark_ms
from songline.schemas.documents import CHART_SIZE, WINDOWS, Chart, ChartEntry, Window
from songline.schemas.errors import PoisonError
from songline.schemas.progress import Freshness

_WINDOWS: dict[str, Window] = {window: window for window in WINDOWS}


class ShardReport(Struct):
    """All that a shard has said, as of its mark."""

    mark: ShardWatermark
    songs: dict[str, SongLabel]
    tops: dict[str, TopK]


class Merge:
    """Charts of a number of shards, once each of them has said everything and all are in the same minute."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._said: dict[int, ShardReport] = {}
        self._parts: dict[int, list[ReportPart]] = {}
        self._broken: set[int] = set()
        self.changed: set[str] = set()
        """Keys of charts that changed since they were last taken out of here."""

    def hear(self, frame: ReportPart) -> None:
        """Take in a part of a frame; it counts when the frame is complete. One whose start is missing is not used.

        Raises PoisonError where a top list names a song that the shard has not told. What the shard says after that is
        not used before it has said everything again: something in between was not heard.
        """
        if frame.first:
            self._parts[frame.shard] = []
        elif not self._parts.get(frame.shard):
            return
        heard = self._parts[frame.shard]
        heard.append(frame)
        if frame.mark is not None:
            del self._parts[frame.shard]
            self._complete(heard, frame.mark)

    @property
    def ready(self) -> bool:
        """Whether all shards have been heard and are in the same minute: only then do their lists fit together."""
        minutes = {said.mark.as_of_ms // MINUTE_MS for said in self._said.values()}
        return len(self._said) == self._shards and len(minutes) == 1

    @property
    def unheard(self) -> list[int]:
        """Shards that have not said everything yet."""
        return [shard for shard in range(self._shards) if shard not in self._said]

    def keys(self) -> set[str]:
        return {key for said in self._said.values() for key in said.tops}

    def freshness(self) -> Freshness:
        """How fresh every chart is that is made now."""
        marks = [said.mark for said in self._said.values()]
        through = common_watermark_ms(marks)
        return Freshness(
            as_of=moment(min(mark.as_of_ms for mark in marks)),
            complete_through=None if through is None else moment(through),
            position=common_positions(marks),
        )

    def chart(self, key: str, previous: dict[str, int], compared_with: datetime | None = None) -> Chart:
        """The chart of a key such as `top:1h:region:DE`; `previous` has the ranks of `compared_with`, by song."""
        kind, window, scope = key.split(":", 2)
        lines = sorted(self._lines(key), key=lambda line: (-line[1], line[0].song_id))[:CHART_SIZE]
        entries = []
        for rank, (song, value, listens, likes) in enumerate(lines, start=1):
            entries.append(
                ChartEntry(
                    rank=rank,
                    song_id=song.song_id,
                    title=song.title,
                    artist=song.artist,
                    genre=song.genre,
                    listens=listens,
                    likes=likes,
                    score=float(value) if kind == "top" else value / (1 << SCALE_BITS),
                    previous_rank=previous.get(song.song_id),
                )
            )
        fresh = self.freshness()
        return Chart(
            kind="top" if kind == "top" else "trending",
            window=_WINDOWS[window],
            scope=scope,
            policy=VERSION,
            as_of=fresh.as_of,
            complete_through=fresh.complete_through,
            position=fresh.position,
            compared_with=compared_with,
            entries=entries,
        )

    def _lines(self, key: str) -> Iterator[tuple[SongLabel, int, int, int]]:
        for said in self._said.values():
            if (top := said.tops.get(key)) is not None:
                yield from zip(map(said.songs.__getitem__, top.song), top.value, top.listens, top.likes, strict=True)

    def _complete(self, heard: list[ReportPart], mark: ShardWatermark) -> None:
        shard, whole = heard[0].shard, heard[0].whole
        before = self._said.get(shard)
        if not whole and (before is None or shard in self._broken):
            return
        before = before or ShardReport(mark, {}, {})
        songs = {song.song_id: song for frame in heard for song in frame.songs}
        tops = {key: top for frame in heard for key, top in frame.tops.items()}
        after = ShardReport(mark, songs, tops) if whole else ShardReport(mark, before.songs | songs, before.tops | tops)
        unknown = {song for top in tops.values() for song in top.song} - after.songs.keys()
        if unknown:
            self._broken.add(shard)
            raise PoisonError(
                "broken-contract", f"top lists of shard {shard} name songs that it has not told: {min(unknown)}"
            )
        self._broken.discard(shard)
        self._said[shard] = after
        # A frame with everything mostly says what was said before.
        told = before.tops.keys() | tops.keys() if whole else tops.keys()
        self.changed |= {key for key in told if before.tops.get(key) != tops.get(key)}
        renamed = {name for name, song in songs.items() if before.songs.get(name, song) != song}
        if renamed:
            self.changed |= {key for key, top in after.tops.items() if not renamed.isdisjoint(top.song)}
