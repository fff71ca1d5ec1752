"""What a shard has, in a form that does not depend on the numbers of its songs and rows."""

from collections.abc import Iterable

import numpy as np

from songline.processors.trending.shards.state import Shard
from songline.processors.trending.shards.window_sums import WindowSums
from songline.schemas.plays import HOURS


def contents(shard: Shard) -> dict[str, object]:
    """What a shard has, by the names of songs."""
    names, (songs, regions) = shard.songs.names, shard.rows()
    tables = {
        key: {(names[songs[row]], int(regions[row])): three for row, three in zip(rows, counts.tolist(), strict=True)}
        for key, rows, counts in shard.tables()
    }
    days = {
        hour: {names[song]: three for song, three in zip(table.keys.tolist(), table.counts.tolist(), strict=True)}
        for hour, table in shard.days._hours.items()
    }
    # What was counted and was taken away again is as good as not counted.
    days = {hour: {song: three for song, three in found.items() if any(three)} for hour, found in days.items()}
    counted = {(hour // HOURS, song) for hour, found in days.items() for song in found}
    stored = {
        (day, names[song]) for day, which in shard.days._stored.items() for song in np.flatnonzero(which).tolist()
    }
    windows = {
        name: (
            window.newest,
            _sums(window.rows, [(names[song], int(region)) for song, region in zip(songs, regions, strict=True)]),
            _sums(window.songs, names),
        )
        for name, window in shard._windows._windows.items()
    }
    facts = {song: dict(shard._facts._facts[song]) for song in shard._facts.songs()}
    # An image may name songs of which nothing is saved.
    known = facts.keys() | {song for table in tables.values() for song, _ in table}
    genres = {genre: known & {names[song] for song in numbers} for genre, numbers in shard._genres._songs.items()}
    return {
        "tables": tables,
        "days": {hour: found for hour, found in days.items() if found},
        "stored": stored & counted,
        "windows": windows,
        "genres": {genre: found for genre, found in genres.items() if found},
        "removed": {names[song] for song in shard._genres.removed},
        "facts": facts,
        "keys": sorted(shard.saved_keys()),
        "positions": shard._watermarks.positions,
        "watermarks": shard._watermarks.watermarks_ms,
        "turn": shard._turn,
    }


def _sums(sums: WindowSums, keys: Iterable[object]) -> dict[object, tuple[list[int], int]]:
    """Counts and scores that are not 0."""
    found = zip(keys, sums.counts.tolist(), sums.scores.tolist(), strict=False)
    return {key: (counts, score) for key, counts, score in found if score or any(counts)}
