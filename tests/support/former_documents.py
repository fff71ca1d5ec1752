"""A listener's documents as the former version wrote them, straight from its rules in words; uses none of its code.

The rules: `recent` are the last 50 listens by moment, `seen` the marks of a partition's last 64 actions, `applied` the
position of its last action. A repeated event among the last 64 is none, and so is a play that is no listen.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b

from songline.audit.chart_reference import is_heard
from songline.audit.library_reference import Place
from songline.schemas.events import SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from songline.schemas.library.listener_documents import EntryDocument, FlagState, Listen, SummaryDocument


def former_documents(user_id: str, log: Iterable[Place]) -> tuple[SummaryDocument, list[EntryDocument]]:
    """The summary and the entries of a listener, who did all that is in `log`."""
    seen: dict[str, list[str]] = {}
    applied: dict[str, int] = {}
    listens: list[Listen] = []
    songs: set[str] = set()
    flags: dict[tuple[str, str], dict[str, FlagState]] = {}
    for partition, position, event in sorted(log, key=lambda place: place[:2]):
        data, number = event.data, str(partition)
        if isinstance(data, SongPlayed) and not is_heard(data):
            continue
        mark = urlsafe_b64encode(blake2b(event.id.encode(), digest_size=6).digest()).decode()
        marks = seen.setdefault(number, [])
        if mark in marks:
            continue
        seen[number] = [*marks, mark][-64:]
        applied[number] = position
        songs.add(data.song_id)
        if isinstance(data, SongPlayed):
            listens.append(Listen(at=event.time, song_id=data.song_id, ms_played=data.played_ms or 0))
        else:
            kind = "likes" if isinstance(data, SongLiked | SongUnliked) else "uploads"
            state = FlagState(on=isinstance(data, SongLiked | SongUploaded), at=event.time)
            flags.setdefault((data.song_id, kind), {})[number] = state
            assert isinstance(data, SongLiked | SongUnliked | SongUploaded | SongRemoved)
    entries = [
        EntryDocument(
            id=f"song:{song_id}",
            user_id=user_id,
            song_id=song_id,
            plays=len(own := [listen for listen in listens if listen.song_id == song_id]),
            ms_played=sum(listen.ms_played for listen in own),
            first_played_at=_first(own),
            last_played_at=max((listen.at for listen in own), default=None),
            likes=flags.get((song_id, "likes"), {}),
            uploads=flags.get((song_id, "uploads"), {}),
        )
        for song_id in sorted(songs)
    ]
    summary = SummaryDocument(
        id="summary",
        user_id=user_id,
        listens=len(listens),
        ms_played=sum(listen.ms_played for listen in listens),
        recent=tuple(sorted(listens, reverse=True)[:50]),
        applied=applied,
        seen={number: "".join(marks) for number, marks in seen.items()},
    )
    return summary, entries


def _first(listens: list[Listen]) -> datetime | None:
    return min((listen.at for listen in listens), default=None)
