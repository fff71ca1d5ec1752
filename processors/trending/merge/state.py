"""The merge: the reports of all shards, and the charts that they make."""

from datetime import datetime

from msgspec import Struct

from songline.processors.trending.merge.chart_ranking import ShardList, rank
from songline.processors.trending.shards.wire import ReportPart, SongLabel, TopK
from songline.processors.trending.spans import MINUTE_MS
from songline.processors.trending.watermark import ShardWatermark, common_positions, common_watermark_ms
from songline.schemas.documents import GLOBAL, WINDOWS, Chart, Kind, Window
from songline.schemas.errors import PoisonError
from songline.schemas.moments import moment_at
from songline.schemas.policy import V1, ChartPolicy
from songline.schemas.progress import Freshness

_WINDOWS: dict[str, Window] = {window: window for window in WINDOWS}


class ShardReport(Struct):
    """Everything that a shard has reported: the labels of songs by id, and top lists by chart, the global ones as of
    `watermark`, those of regions and genres as of `scoped`."""

    watermark: ShardWatermark
    scoped: ShardWatermark
    songs: dict[str, SongLabel]
    tops: dict[str, TopK]


class Merge:
    """Charts of a number of shards, once each of them has reported everything and all are in the same minute."""

    def __init__(self, shards: int, policy: ChartPolicy = V1) -> None:
        self._shards = shards
        self._policy = policy.label
        self._reports: dict[int, ShardReport] = {}
        self._parts: dict[int, list[ReportPart]] = {}
        self._broken: set[int] = set()
        self.changed: set[str] = set()
        """Keys of charts that changed since they were last taken out of here."""

    def apply(self, part: ReportPart) -> None:
        """Apply a part of a report, which counts once the report is complete. A report without its first part is not
        used.

        Raises PoisonError where a top list names a song that the shard has not reported. What the shard reports after
        that is not used before it has reported everything again: something in between is missing.
        """
        if part.first:
            self._parts[part.shard] = []
        elif not self._parts.get(part.shard):
            return
        parts = self._parts[part.shard]
        parts.append(part)
        if part.watermark is not None:
            del self._parts[part.shard]
            self._complete(parts, part.watermark)

    @property
    def ready(self) -> bool:
        """Whether all shards have reported and are in the same minute: only then do their lists fit together.

        The first report of a minute has the lists of regions and genres, too.
        """
        found = [one for report in self._reports.values() for one in (report.watermark, report.scoped)]
        return len(self._reports) == self._shards and len({one.as_of_ms // MINUTE_MS for one in found}) == 1

    @property
    def missing_shards(self) -> list[int]:
        """The shards that have not reported everything yet."""
        return [shard for shard in range(self._shards) if shard not in self._reports]

    def keys(self) -> set[str]:
        """The keys of all charts."""
        return {key for report in self._reports.values() for key in report.tops}

    def freshness(self, scope: str = GLOBAL) -> Freshness:
        """How fresh every chart of the scope is that is made now."""
        of_world = scope == GLOBAL
        watermarks = [report.watermark if of_world else report.scoped for report in self._reports.values()]
        complete_ms = common_watermark_ms(watermarks)
        return Freshness(
            as_of=moment_at(min(one.as_of_ms for one in watermarks)),
            complete_through=None if complete_ms is None else moment_at(complete_ms),
            position=common_positions(watermarks),
        )

    def chart(self, key: str, previous: dict[str, int], compared_with: datetime | None = None) -> Chart:
        """The chart of a key such as `top:1h:region:DE`; `previous` has the ranks of `compared_with`, by song id."""
        name, window, scope = key.split(":", 2)
        kind: Kind = "top" if name == "top" else "trending"
        lists = [
            ShardList(top, report.songs)
            for report in self._reports.values()
            if (top := report.tops.get(key)) is not None
        ]
        fresh = self.freshness(scope)
        return Chart(
            kind=kind,
            window=_WINDOWS[window],
            scope=scope,
            policy=self._policy,
            as_of=fresh.as_of,
            complete_through=fresh.complete_through,
            position=fresh.position,
            compared_with=compared_with,
            entries=rank(kind, lists, previous),
        )

    def _complete(self, parts: list[ReportPart], watermark: ShardWatermark) -> None:
        shard, whole = parts[0].shard, parts[0].whole
        before = self._reports.get(shard)
        if not whole and (before is None or shard in self._broken):
            return
        before = before or ShardReport(watermark, watermark, {}, {})
        songs = {song.song_id: song for part in parts for song in part.songs}
        tops = {key: top for part in parts for key, top in part.tops.items()}
        if whole:
            after = ShardReport(watermark, watermark, songs, tops)
        else:
            scoped = watermark if parts[0].scoped else before.scoped
            after = ShardReport(watermark, scoped, before.songs | songs, before.tops | tops)
        unknown = {song for top in tops.values() for song in top.song} - after.songs.keys()
        if unknown:
            self._broken.add(shard)
            raise PoisonError(
                "broken-contract", f"top lists of shard {shard} name songs that it has not reported: {min(unknown)}"
            )
        self._broken.discard(shard)
        self._reports[shard] = after
        # Most of a whole report was reported before.
        reported = before.tops.keys() | tops.keys() if whole else tops.keys()
        self.changed |= {key for key in reported if before.tops.get(key) != tops.get(key)}
        relabelled = {song_id for song_id, song in songs.items() if before.songs.get(song_id, song) != song}
        if relabelled:
            self.changed |= {key for key, top in after.tops.items() if not relabelled.isdisjoint(top.song)}
