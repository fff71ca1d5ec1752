"""Listens, and what listeners say of songs, as events. Pure.

The id of a listen's event follows from the listener, the moment and the words, and of an imported one from its import
too, so that a player which repeats itself counts once, here and in every reader of the hub.
"""

from datetime import datetime

from songline.players.listenbrainz.submission import SubmittedListen
from songline.processors.imports.import_batch import listen_imported, words_of
from songline.schemas.commands import derived_id
from songline.schemas.envelope import Event
from songline.schemas.events import SongLiked, SongPlayed, SongUnliked
from songline.schemas.listening import is_listen
from songline.schemas.song_names import name_id

SOURCE = "/songline/api/listenbrainz"


def listen_key(user_id: str, submitted: SubmittedListen, *import_id: str) -> str:
    """What tells a listen apart from every other: who listened, when, and the folded words. A listen of an import is
    that import's own: another one has it too, and keeps it when the first is taken back."""
    began_ms = str(submitted.listen.began_ms)
    return derived_id("scrobble", user_id, name_id(words_of(submitted.listen).key), began_ms, *import_id)


def played(user_id: str, submitted: SubmittedListen, song_id: str) -> Event:
    """A play that a player reports as it happens, or later: it counts at its own moment.

    That it was a listen is the player's word. How long it took is said where that makes it one by our rule too.
    """
    listen = submitted.listen
    counts = is_listen(listen.played_ms, listen.duration_ms)
    return Event(
        id=listen_key(user_id, submitted),
        source=SOURCE,
        time=submitted.at,
        data=SongPlayed(
            user_id=user_id,
            song_id=song_id,
            played_ms=listen.played_ms if counts else None,
            duration_ms=listen.duration_ms,
            device=submitted.device,
        ),
    )


def imported(user_id: str, submitted: SubmittedListen, song_id: str, import_id: str) -> Event:
    """A listen of a history that a player hands over."""
    return Event(
        id=listen_key(user_id, submitted, import_id),
        source=SOURCE,
        time=submitted.at,
        data=listen_imported(user_id, import_id, submitted.listen, song_id),
    )


def liked(user_id: str, song_id: str, now: datetime, event_id: str, *, is_liked: bool) -> Event:
    """A like, or one that is taken back."""
    kind = SongLiked if is_liked else SongUnliked
    return Event(id=event_id, source=SOURCE, time=now, data=kind(user_id=user_id, song_id=song_id))
