"""Chart ranking: the top lists of all shards for one chart, merged into its lines."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from songline.processors.trending.shards.wire import SongLabel, TopK
from songline.schemas.documents import CHART_SIZE, ChartEntry, Kind
from songline.schemas.policy import SCALE_BITS


class RankedSong(Struct, frozen=True, gc=False):
    """A song in a shard's list; `value` ranks it (see `TopK`)."""

    label: SongLabel
    value: int
    listens: int
    likes: int


def ranked_songs(top: TopK, labels: Mapping[str, SongLabel]) -> Iterator[RankedSong]:
    """The songs of a list, with their labels."""
    for song, value, listens, likes in zip(top.song, top.value, top.listens, top.likes, strict=True):
        yield RankedSong(labels[song], value, listens, likes)


def rank(kind: Kind, songs: Iterable[RankedSong], previous: Mapping[str, int]) -> list[ChartEntry]:
    """The CHART_SIZE best of the songs by falling value, ties by song id; `previous` has earlier ranks by song id."""
    best = sorted(songs, key=lambda song: (-song.value, song.label.song_id))[:CHART_SIZE]
    return [
        ChartEntry(
            rank=place,
            song_id=song.label.song_id,
            title=song.label.title,
            artist=song.label.artist,
            genre=song.label.genre,
            listens=song.listens,
            likes=song.likes,
            score=float(song.value) if kind == "top" else song.value / (1 << SCALE_BITS),
            previous_rank=previous.get(song.label.song_id),
        )
        for place, song in enumerate(best, start=1)
    ]
