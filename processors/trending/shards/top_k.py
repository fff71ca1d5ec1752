"""The top lists of a shard: of each chart the best songs, at most as many as a chart has lines."""

from collections.abc import Iterator

import numpy as np

from songline.processors.trending.count_table import LIKES, LISTENS
from songline.processors.trending.shards.row_index import RowIndex
from songline.processors.trending.shards.song_genres import SongGenres
from songline.processors.trending.shards.window_sums import SHOWN_KINDS, WindowSums
from songline.processors.trending.shards.windows import ShardWindows, region_scope
from songline.processors.trending.shards.wire import MAX_WHOLE_SCORE, TopK
from songline.processors.trending.song_index import Ints, SongIndex, Which
from songline.schemas.documents import CHART_SIZE, GLOBAL, KINDS, Kind, chart_key


def changed_lists(
    windows: ShardWindows, rows: RowIndex, songs: SongIndex, genres: SongGenres, *, whole: bool, scoped: bool
) -> Iterator[tuple[str, TopK]]:
    """Key and list of each chart in which anything has changed; `whole`: of every chart. Those of regions and genres
    are left out unless `scoped`."""
    shown = genres.shown(len(songs))
    for name, window in windows.changed_worlds(whole=whole):
        some = np.arange(min(len(songs), len(window.songs.scores)))
        yield from _lists(name, GLOBAL, window.songs, some, some, songs, shown)
    if not (whole or scoped):
        return
    rows_by_region = rows.by_region()
    for name, window in windows.changed(whole=whole):
        everything = whole or window.all_changed
        known = len(window.songs.scores)
        for region in rows_by_region if everything else window.changed_regions:
            if (scope := region_scope(region)) is not None:
                some = rows_by_region[region]
                some = some[some < len(window.rows.scores)]
                yield from _lists(name, scope, window.rows, some, rows.songs(some), songs, shown)
        for genre in genres.all() if everything else genres.of(window.changed_songs):
            some = genres.songs(genre)
            some = some[some < known]
            yield from _lists(name, f"genre:{genre}", window.songs, some, some, songs, shown)


def _lists(
    window: str, scope: str, sums: WindowSums, at: Ints, numbers: Ints, songs: SongIndex, shown: Which
) -> Iterator[tuple[str, TopK]]:
    for kind in KINDS:
        yield chart_key(kind, window, scope), top_k(kind, sums, at, numbers, songs.names, shown)


def top_k(kind: Kind, sums: WindowSums, at: Ints, songs: Ints, names: list[str], shown: Which) -> TopK:
    """The CHART_SIZE greatest values above 0, ties by song id.

    `at` are places in `sums`, and `songs` the number of the song at each of them, by which `names` has its id and
    `shown` whether it may be in a list.
    """
    values = sums.capped_scores(at) if kind == "trending" else sums.counts[at, LISTENS]
    (which,) = ((values > 0) & shown[songs]).nonzero()
    found = values[which]
    if len(which) > CHART_SIZE:
        great = found >= np.partition(found, -CHART_SIZE)[-CHART_SIZE]
        which, found = which[great], found[great]
    exact = sums.exact_scores(at[which]) if kind == "trending" else found.tolist()
    ids = [names[song] for song in songs[which].tolist()]
    # Hundreds may have the least value of a list. By two keys they are sorted in a third of the time that pairs take.
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    ranked = sorted(by_id, key=exact.__getitem__, reverse=True)[:CHART_SIZE]
    counts = sums.counts[at[which[ranked]]] if ranked else np.zeros((0, SHOWN_KINDS), np.int64)
    return TopK(
        song=[ids[place] for place in ranked],
        listens=counts[:, LISTENS].tolist(),
        likes=counts[:, LIKES].tolist(),
        value=[exact[place] if exact[place] <= MAX_WHOLE_SCORE else float(exact[place]) for place in ranked],
    )
