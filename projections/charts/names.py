"""The words of songs in charts that are known by name only: the workers of charts know no words of theirs."""

from collections.abc import Callable

from msgspec import structs

from songline.projections.songs.served_songs import SongVersions
from songline.projections.store import StoreUnavailableError
from songline.schemas.documents import Chart
from songline.schemas.song_names import is_name_id


async def with_names(chart: Chart, songs: Callable[[], SongVersions], max_staleness: str | None = None) -> Chart:
    """The chart, in which songs that are known by name only have their words, read no longer ago than `max_staleness`;
    the same one where there are none, or while names can't be read."""
    unnamed = {one.song_id for one in chart.entries if one.title is None and is_name_id(one.song_id)}
    if not unnamed:
        return chart
    try:
        titles = await (await songs().live()).titles_within(max_staleness).of(unnamed)
    except StoreUnavailableError:
        return chart
    entries = []
    for one in chart.entries:
        title = titles.get(one.song_id) if one.song_id in unnamed else None
        entries.append(one if title is None else structs.replace(one, title=title.title, artist=title.artist))
    return structs.replace(chart, entries=entries)
