"""Reads what was said of names."""

from datetime import UTC, datetime

from songline.projections.store import DocumentStore
from songline.schemas.match_answers import MatchAnswer
from songline.schemas.name_matches import KIND, SHARD, NameMatch, match_document_id
from songline.schemas.song_names import SongName, shard_of

MAX_LISTED = 1_000
_ALL = "SELECT * FROM c WHERE c.kind = @kind"
_WORDS_AT_ONCE = 100


async def matches(store: DocumentStore, limit: int) -> list[NameMatch]:
    """The names that are songs, by their ids. Raises StoreUnavailableError."""
    found = await store.find_within(SHARD, _ALL, [{"name": "@kind", "value": KIND}], MAX_LISTED, NameMatch)
    return sorted((one for one in found if one.song_id is not None), key=lambda one: one.name)[:limit]


async def match_of(store: DocumentStore, name: str) -> NameMatch | None:
    """What was said of a name, None where nothing was. Raises StoreUnavailableError."""
    return await store.read(match_document_id(name), SHARD, NameMatch)


async def name_words(store: DocumentStore, name: str) -> SongName | None:
    """The words that a name stands for, None where nobody knows them. Raises StoreUnavailableError."""
    return await store.read(name, shard_of(name), SongName)


def shown_match(found: NameMatch, as_of: datetime, title: str | None, artist: str | None) -> MatchAnswer:
    """The match for the API. Its words are those of the song, or else of the name."""
    said = found.latest
    return MatchAnswer(
        as_of=as_of,
        name=found.name,
        title=title,
        artist=artist,
        song_id=found.song_id,
        said_at=None if said is None else datetime.fromtimestamp(said.said_s, UTC),
        effective_from=None if said is None else datetime.fromtimestamp(said.from_s, UTC),
    )
