"""The merge: the reports of all shards, and the charts that they make.

A shard may have two owners for a moment: one that was stopped for long does not know that it has lost the shard, and
reports what it counts. So what each owner reports is kept apart, and of a shard that is shown which is furthest.
"""

from collections.abc import Iterable, Set
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

OWNER_MS = 60_000
"""An owner of a shard has ended whose last report came so long before that of another one, however far it was."""

Place = tuple[int, str]
"""A shard, and one of its owners."""

_WINDOWS: dict[str, Window] = {window: window for window in WINDOWS}


class ShardReport(Struct):
    """Everything that an owner of a shard has reported: the labels of songs by id, and top lists by chart, the global
    ones as of `watermark`, those of regions and genres as of `scoped`. `at_ms`: when the last report came."""

    watermark: ShardWatermark
    scoped: ShardWatermark
    songs: dict[str, SongLabel]
    tops: dict[str, TopK]
    at_ms: int


class OpenReport(Struct):
    """The parts of a report that is not complete. `at_ms`: when the first one came, -1 where that is not known."""

    at_ms: int
    parts: list[ReportPart]


class Merge:
    """Charts of a number of shards, once each of them has reported everything and all are in the same minute."""

    def __init__(self, shards: int, policy: ChartPolicy = V1) -> None:
        self._shards = shards
        self._policy = policy.label
        self._reports: dict[int, ShardReport] = {}
        self._owners: dict[int, dict[str, ShardReport]] = {}
        self._open: dict[Place, OpenReport] = {}
        self._broken: set[Place] = set()
        self.changed: set[str] = set()
        """Keys of charts that changed since they were last taken out of here."""

    def apply(self, part: ReportPart, logged_ms: int = -1) -> None:
        """Apply a part of a report, which counts once the report is complete. A report without its first part is not
        used. `logged_ms`: when the hub took the part, -1 where that is not known.

        Raises PoisonError where a top list names a song that the owner has not reported. What it reports after
        that is not used before it has reported everything again: something in between is missing.
        """
        place = part.shard, part.owner
        if part.first:
            self._open[place] = OpenReport(logged_ms, [])
        elif place not in self._open:
            return
        parts = self._open[place].parts
        parts.append(part)
        if part.watermark is not None:
            del self._open[place]
            # By the hub's clock: an owner whose own was ahead would outlast its successors for as long.
            self._complete(parts, part.watermark, part.watermark.as_of_ms if logged_ms < 0 else logged_ms)

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

    @property
    def places(self) -> Set[Place]:
        """The shards with those of their owners of which something is kept."""
        return {(shard, owner) for shard, owners in self._owners.items() for owner in owners} | self._open.keys()

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

    def _complete(self, parts: list[ReportPart], watermark: ShardWatermark, at_ms: int) -> None:
        shard, owner, whole = parts[0].shard, parts[0].owner, parts[0].whole
        owners = self._owners.get(shard, {})
        before = owners.get(owner)
        if not whole and (before is None or (shard, owner) in self._broken):
            return
        before = before or ShardReport(watermark, watermark, {}, {}, at_ms)
        songs = {song.song_id: song for part in parts for song in part.songs}
        tops = {key: top for part in parts for key, top in part.tops.items()}
        if whole:
            after = ShardReport(watermark, watermark, songs, tops, at_ms)
        else:
            scoped = watermark if parts[0].scoped else before.scoped
            after = ShardReport(watermark, scoped, before.songs | songs, before.tops | tops, at_ms)
        unknown = {song for top in tops.values() for song in top.song} - after.songs.keys()
        if unknown:
            self._broken.add((shard, owner))
            raise PoisonError(
                "broken-contract", f"top lists of shard {shard} name songs that it has not reported: {min(unknown)}"
            )
        self._broken.discard((shard, owner))
        self._owners[shard] = {**owners, owner: after}
        shown = self._reports.get(shard)
        chosen = self._reports[shard] = self._furthest(shard, at_ms)
        if chosen is after and (shown is before or shown is None):
            # Most of a whole report was reported before.
            self._compare(before, after, before.tops.keys() | tops.keys() if whole else tops.keys(), songs)
        elif shown is not None and chosen is not shown:
            self._compare(shown, chosen, shown.tops.keys() | chosen.tops.keys(), chosen.songs)

    def _furthest(self, shard: int, at_ms: int) -> ShardReport:
        """What is shown of a shard, the last report of which came at that time; owners that have ended are forgotten,
        with what they have begun."""
        owners = self._owners[shard]
        # A clock that was set back lets none of them stay longer.
        left = {owner: one for owner, one in owners.items() if abs(at_ms - one.at_ms) < OWNER_MS}
        self._broken -= {(shard, owner) for owner in owners.keys() - left.keys()}
        for place in [place for place, one in self._open.items() if place[0] == shard and one.at_ms >= 0]:
            if abs(at_ms - self._open[place].at_ms) >= OWNER_MS:
                del self._open[place]
        self._owners[shard] = left
        return max(left.values(), key=lambda one: (sum(one.watermark.positions.values()), one.watermark.as_of_ms))

    def _compare(self, before: ShardReport, after: ShardReport, keys: Iterable[str], songs: Iterable[str]) -> None:
        """Note which charts differ by two reports, of which these lists and labels may."""
        self.changed |= {key for key in keys if before.tops.get(key) != after.tops.get(key)}
        relabelled = {one for one in songs if before.songs.get(one, after.songs[one]) != after.songs[one]}
        if relabelled:
            self.changed |= {key for key, top in after.tops.items() if not relabelled.isdisjoint(top.song)}
