"""Finds the songs of listens: what the words mean, and what a listener's MusicBrainz ids meant when they came."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct

from songline.players.listenbrainz.errors import ListenBrainzError
from songline.players.listenbrainz.listen_events import listen_key
from songline.players.listenbrainz.submission import SubmittedListen
from songline.processors.imports.import_batch import words_of
from songline.processors.imports.song_resolution import MAX_OPERATIONS, SongResolution
from songline.schemas.decoding import convert
from songline.schemas.errors import PoisonError
from songline.schemas.song_names import is_name_id, song_name
from songline.schemas.types import Id

ROOM = 50_000
RETRY_S = 2
KIND = "recording"


class ReportedRecording(Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag=KIND):
    """The song that a recording of MusicBrainz was, when the listener's player named it last. It stands beside the
    listener's imports, in their partition of the container `imports`."""

    id: Id
    user_id: Id
    song_id: Id


class ReportedSongs:
    """Resolves listens by `resolution`, and keeps recordings in `container`, which is `imports`.

    A listen that is repeated gets the song that it got before, whatever came to the catalog meanwhile.
    """

    def __init__(self, resolution: SongResolution, container: ContainerProxy) -> None:
        self._resolution, self._container = resolution, container
        self._turn = asyncio.Lock()
        self._listens: OrderedDict[str, str] = OrderedDict()
        self._recordings: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def of(self, user_id: str, listens: Sequence[SubmittedListen]) -> list[str]:
        """The song of each listen. Its words are kept where it is known by name only. Raises ListenBrainzError where
        the catalog can't be asked."""
        try:
            # It reads one question after the other.
            async with self._turn:
                matches = await self._resolution.resolve(words_of(one.listen) for one in listens)
            songs: list[str] = []
            for one in listens:
                key = listen_key(user_id, one)
                songs.append(self._listens.setdefault(key, matches[words_of(one.listen)].song_id))
                self._listens.move_to_end(key)
            named = (
                song_name(one.listen.title, one.listen.artists, one.listen.album)
                for one, song_id in zip(listens, songs, strict=True)
                if is_name_id(song_id)
            )
            await self._resolution.keep_names(named)
            await self._keep(
                user_id,
                {
                    one.listen.recording_mbid: song_id
                    for one, song_id in zip(listens, songs, strict=True)
                    if one.listen.recording_mbid is not None
                },
            )
        except AzureError as error:
            raise _away(error) from None
        _trim(self._listens)
        return songs

    async def of_recording(self, user_id: str, mbid: str) -> str | None:
        """The song that the listener's player named by this id; None where it named none so."""
        known = self._recordings.get((user_id, mbid))
        if known is not None:
            return known
        try:
            item = await self._container.read_item(_document_id(mbid), user_id)
            return convert(dict(item), ReportedRecording).song_id
        except (CosmosResourceNotFoundError, PoisonError):
            return None
        except AzureError as error:
            raise _away(error) from None

    async def _keep(self, user_id: str, songs: Mapping[str, str]) -> None:
        """Keep the songs of recordings, by their MusicBrainz ids. Raises AzureError."""
        new = [(mbid, song_id) for mbid, song_id in songs.items() if self._recordings.get((user_id, mbid)) != song_id]
        for start in range(0, len(new), MAX_OPERATIONS):
            some = new[start : start + MAX_OPERATIONS]
            documents = [
                ReportedRecording(id=_document_id(mbid), user_id=user_id, song_id=song_id) for mbid, song_id in some
            ]
            operations = [("upsert", (msgspec.to_builtins(document),)) for document in documents]
            await self._container.execute_item_batch(operations, user_id, no_response=True)
            self._recordings.update(((user_id, mbid), song_id) for mbid, song_id in some)
        _trim(self._recordings)


def _document_id(mbid: str) -> str:
    return f"{KIND}:{mbid}"


def _away(error: BaseException) -> ListenBrainzError:
    why = str(error).partition("\n")[0][:200] or type(error).__name__
    return ListenBrainzError(503, f"The catalog can't be asked which song this is: {why}. Send it again.", RETRY_S)


def _trim(found: "OrderedDict[tuple[str, str], str] | OrderedDict[str, str]") -> None:
    while len(found) > ROOM:
        found.popitem(last=False)
