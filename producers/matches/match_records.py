"""What is known of a name and of a song, for the check of a match before it is said."""

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.producers.uploads.catalog_songs import CatalogSongs
from songline.producers.uploads.patience import answering
from songline.schemas.decoding import convert
from songline.schemas.name_matches import SHARD, NameMatch, match_document_id, no_match
from songline.schemas.songs import SongDocument


class MatchRecords:
    """The container `names`, and the songs of the catalog. Methods raise TransientError where Cosmos DB gives no answer
    within `patience_s` seconds, or an error."""

    def __init__(self, names: ContainerProxy, songs: CatalogSongs, patience_s: float) -> None:
        self._names = names
        self._songs = songs
        self._patience_s = patience_s

    async def match(self, name: str) -> NameMatch:
        """What was said of the name so far."""
        async with answering("Cosmos DB", self._patience_s, "what was said of the name"):
            try:
                item = await self._names.read_item(match_document_id(name), SHARD)
            except CosmosResourceNotFoundError:
                return no_match(name)
            return convert(dict(item), NameMatch)

    async def song(self, song_id: str) -> SongDocument | None:
        """The song's document, also after its removal; None if there is none."""
        async with answering("Cosmos DB", self._patience_s, "the song"):
            return await self._songs.read(song_id)
