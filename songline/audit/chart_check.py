"""Checks charts and songs' hours against the reference. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from songline.audit import chart_reference
from songline.audit.chart_reference import Line, Rules
from songline.audit.hub_log import HubLog
from songline.audit.proof import Difference, Proof, proof
from songline.schemas.documents import KINDS, WINDOWS, Chart, chart_key
from songline.schemas.events import SongRemoved
from songline.schemas.plays import SongPlays


def check_charts(log: HubLog, charts: Mapping[str, Chart], rules: Rules) -> Proof:
    """`charts`: by key, each of a moment at which all of `log` was counted. A chart of the reference that is not among
    them counts as wrong."""
    return proof(
        "charts-equal",
        "Every chart equals the reference: nothing is missing in it, and nothing is counted twice.",
        {"charts": len(charts), "lines": sum(len(one.entries) for one in charts.values()), "events": len(log.events)},
        _wrong_charts(log, charts, rules),
    )


def chart_keys(log: HubLog, moment: datetime, rules: Rules) -> list[str]:
    """The keys of all charts of the scopes that have one that is not empty at the moment."""
    scopes = {key.split(":", 2)[2] for key in chart_reference.charts(log.events, moment, rules=rules)}
    return sorted(chart_key(kind, window, scope) for kind in KINDS for window in WINDOWS for scope in scopes)


def check_plays(log: HubLog, plays: Mapping[str, SongPlays], rules: Rules) -> Proof:
    """`plays`: the hours of songs, by song."""
    return proof(
        "plays-equal",
        "Every song's listens and likes of each hour equal the reference.",
        {"songs": len(plays), "hours": sum(len(one.hours) for one in plays.values())},
        _wrong_plays(log, plays, rules),
    )


def check_untouched(songs: Collection[str], charts: Mapping[str, Chart], plays: Mapping[str, SongPlays]) -> Proof:
    """`songs`: those that only excluded listeners play and like. `plays`: their hours."""
    return proof(
        "charts-untouched",
        "No chart and no song's hour counts a listener whom the policy excludes.",
        {"charts": len(charts), "songs": len(songs)},
        _touched(songs, charts, plays),
    )


def _touched(
    songs: Collection[str], charts: Mapping[str, Chart], plays: Mapping[str, SongPlays]
) -> Iterator[Difference]:
    for key, chart in sorted(charts.items()):
        for line in lines(chart):
            if line.song_id in songs:
                where = f"/v1/charts/{chart.kind}/{chart.window}?scope={chart.scope}"
                yield Difference(f"chart {key} counts song {line.song_id}", None, line, where)
    for song, answer in sorted(plays.items()):
        for one in answer.hours:
            seen = one.listens, one.likes, one.unlikes
            if any(seen):
                what = f"song {song}, hour {one.hour:%Y-%m-%dT%H}, is counted"
                yield Difference(what, (0, 0, 0), seen, f"/v1/songs/{song}/plays")


def _wrong_charts(log: HubLog, charts: Mapping[str, Chart], rules: Rules) -> Iterator[Difference]:
    minutes, ends = {minute(chart) for chart in charts.values()}, log.ends
    expected = {at: chart_reference.charts(log.events, at, rules=rules) for at in minutes}
    for key, chart in sorted(charts.items()):
        where = f"/v1/charts/{chart.kind}/{chart.window}?scope={chart.scope}"
        if (counted := {name: end for name, end in chart.position.items() if end >= 0}) != ends:
            yield Difference(f"chart {key} has not counted all", ends, counted, where)
            continue
        wanted, seen = expected[minute(chart)].get(key, []), lines(chart)
        if wanted != seen:
            at = next((n for n, pair in enumerate(zip(wanted, seen, strict=False)) if pair[0] != pair[1]), -1)
            line = min(len(wanted), len(seen)) if at < 0 else at
            pair = (wanted[line : line + 1], seen[line : line + 1])
            yield Difference(f"chart {key}, line {line + 1}", *pair, where)
    awaited = [lasting(found) for found in expected.values()]
    for key in sorted(set.intersection(*awaited) - set(charts) if awaited else ()):
        yield Difference(f"chart {key} was not read", key, None, "/v1/charts")


def _wrong_plays(log: HubLog, plays: Mapping[str, SongPlays], rules: Rules) -> Iterator[Difference]:
    expected, ends = chart_reference.plays(log.events, rules), log.ends
    facts = chart_reference.song_facts(log.events)
    removed = {song for song, fact in facts.items() if isinstance(fact.data, SongRemoved)}
    for song in sorted({song for song, _ in expected} - removed - plays.keys()):
        yield Difference(f"the plays of song {song} are not there", None, None, f"/v1/songs/{song}/plays")
    for song, answer in sorted(plays.items()):
        if any(answer.position.get(partition, -1) < end for partition, end in ends.items()):
            where = f"/v1/songs/{song}/plays"
            yield Difference(f"the plays of song {song} have not counted all", ends, answer.position, where)
            continue
        for one in answer.hours:
            wanted = expected.get((song, f"{one.hour:%Y-%m-%dT%H}"), (0, 0, 0))
            seen = one.listens, one.likes, one.unlikes
            if wanted != seen:
                where = f"/v1/songs/{song}/plays"
                yield Difference(f"song {song}, hour {one.hour:%Y-%m-%dT%H}", wanted, seen, where)


def lasting(keys: Iterable[str]) -> set[str]:
    """Those of the charts that can't become empty meanwhile: a scope may leave the five minutes before it is seen."""
    return {key for key in keys if ":5m:" not in key}


def minute(chart: Chart) -> datetime:
    """The minute as of which the chart is."""
    return chart.as_of.replace(second=0, microsecond=0)


def lines(chart: Chart) -> list[Line]:
    """The chart's entries as the reference has them."""
    return [
        Line(one.rank, one.song_id, one.title, one.artist, one.genre, one.listens, one.likes, one.score)
        for one in chart.entries
    ]
