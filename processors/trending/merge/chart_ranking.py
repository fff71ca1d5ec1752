"""Chart ranking: the top lists of all shards for one chart, merged into its lines."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from songline.processors.trending.shards.wire import SongLabel, TopK
from songline.schemas.documents import CHART_SIZE, ChartEntry, Kind
from songline.schemas.policy import SCALE_BITS


class ShardList(Struct, frozen=True):
    """A shard's list for a chart, and the labels of the songs in it, by song id."""

    top: TopK
    labels: Mapping[str, SongLabel]


def rank(kind: Kind, lists: Iterable[ShardList], previous: Mapping[str, int]) -> list[ChartEntry]:
    """The CHART_SIZE best songs of the lists by falling value, ties by song id; `previous` has earlier ranks by song
    id. No two lists have the same song."""
    lists = list(lists)
    # Tuples that sort as the songs do: most songs of the lists are in no chart, and get no object of their own.
    songs = [
        (-value, song_id, listens, likes, place)
        for place, top in enumerate(one.top for one in lists)
        for value, song_id, listens, likes in zip(top.value, top.song, top.listens, top.likes, strict=True)
    ]
    songs.sort()
    entries = []
    for number, (negative, song_id, listens, likes, place) in enumerate(songs[:CHART_SIZE], start=1):
        label = lists[place].labels[song_id]
        entries.append(
            ChartEntry(
                rank=number,
                song_id=label.song_id,
                title=label.title,
                artist=label.artist,
                genre=label.genre,
                listens=listens,
                likes=likes,
                score=float(-negative) if kind == "top" else -negative / (1 << SCALE_BITS),
                previous_rank=previous.get(song_id),
            )
        )
    return entries
