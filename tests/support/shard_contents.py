"""What a shard has, in a form that does not depend on the numbers of its songs and rows."""

import numpy as np

from songline.processors.trending.shards.state import Shard


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
    stored = {
        day: {names[song] for song in np.flatnonzero(which).tolist()} for day, which in shard.days._stored.items()
    }
    facts = {song: dict(shard._facts._facts[song]) for song in shard._facts.songs()}
    return {
        "tables": tables,
        "days": days,
        "stored": stored,
        "facts": facts,
        "keys": sorted(shard.saved_keys()),
        "positions": shard._watermarks.positions,
        "watermarks": shard._watermarks.watermarks_ms,
        "turn": shard._turn,
    }
