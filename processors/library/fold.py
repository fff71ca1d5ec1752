"""A listener's acts, applied to what is there of him. Nothing waits here.

Whatever is applied again, in whatever portions, and however the acts of several partitions interleave, comes to the
same documents.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import structs

from songline.processors.library.actions import MARK_LETTERS, UserAction
from songline.schemas.last_write import is_outdated
from songline.schemas.library import RECENT, SUMMARY, EntryDocument, FlagState, Listen, SummaryDocument, entry_id

SEEN = 64
"""An event is known again among so many acts of its listener."""

MAX_SONGS = 99
"""A transactional batch takes 100 operations, and one is the summary's."""


class LibraryChange(NamedTuple):
    """What there is of a listener afterwards: his summary, and those entries that changed, by song."""

    summary: SummaryDocument
    entries: dict[str, EntryDocument]


def transaction_size(acts: Sequence[UserAction], songs: int = MAX_SONGS) -> int:
    """How many of the first `acts` touch `songs` songs at most, and so fit into one transaction."""
    touched: set[str] = set()
    for count, act in enumerate(acts):
        touched.add(act.song_id)
        if len(touched) > songs:
            return count
    return len(acts)


def apply(
    user_id: str,
    summary: SummaryDocument | None,
    entries: Mapping[str, EntryDocument | None],
    partition: str,
    acts: Sequence[UserAction],
) -> LibraryChange | None:
    """The listener after `partition` said `acts`, in its order; None where that changes nothing.

    `entries` holds the entry of every song that `acts` touch, None where there is none. Acts up to the position that
    the summary has applied, and events that were seen a moment ago, change nothing.
    """
    before = summary or SummaryDocument(id=SUMMARY, user_id=user_id)
    applied, seen = before.applied.get(partition, -1), _marks(before.seen.get(partition, ""))
    resubmitted = _marks(before.resubmitted)
    fresh: list[UserAction] = []
    for act in acts:
        if act.position > applied and act.mark not in seen and act.again not in resubmitted:
            fresh.append(act)
            _remember(seen, act.mark)
            if act.again:
                _remember(resubmitted, act.again)
    if not fresh:
        return None
    changed = {}
    for song_id, done in _by_song(fresh).items():
        changed[song_id] = _entry(entries[song_id] or _blank(user_id, song_id), partition, done)
    listens = [Listen(at=act.at, song_id=act.song_id, ms_played=act.ms) for act in fresh if act.kind == "listen"]
    pairs = [(entries[song_id] or _blank(user_id, song_id), entry) for song_id, entry in changed.items()]
    return LibraryChange(
        structs.replace(
            before,
            listens=before.listens + len(listens),
            ms_played=before.ms_played + sum(listen.ms_played for listen in listens),
            songs=before.songs + sum((new.plays > 0) - (old.plays > 0) for old, new in pairs),
            liked=before.liked + sum(_is(new.liked_at) - _is(old.liked_at) for old, new in pairs),
            uploaded=before.uploaded + sum(_is(new.uploaded_at) - _is(old.uploaded_at) for old, new in pairs),
            first_listen_at=min(_moments(before.first_listen_at, listens), default=None),
            last_listen_at=max(_moments(before.last_listen_at, listens), default=None),
            recent=tuple(sorted([*before.recent, *listens], reverse=True)[:RECENT]),
            applied={**before.applied, partition: fresh[-1].position},
            seen={**before.seen, partition: "".join(seen)},
            resubmitted="".join(resubmitted),
        ),
        changed,
    )


def _entry(before: EntryDocument, partition: str, acts: Sequence[UserAction]) -> EntryDocument:
    """The entry after acts of its song, in order."""
    listens = [act for act in acts if act.kind == "listen"]
    heard = [act.at for act in listens]
    likes, uploads = dict(before.likes), dict(before.uploads)
    for act in acts:
        match act.kind:
            case "like" | "unlike":
                _set(likes, partition, FlagState(on=act.kind == "like", at=act.at), act)
            case "upload" | "remove":
                _set(uploads, partition, FlagState(on=act.kind == "upload", at=act.at), act)
    return _ordered(
        structs.replace(
            before,
            plays=before.plays + len(listens),
            ms_played=before.ms_played + sum(act.ms for act in listens),
            first_played_at=min([*_known(before.first_played_at), *heard], default=None),
            last_played_at=max([*_known(before.last_played_at), *heard], default=None),
            likes=likes,
            uploads=uploads,
        )
    )


def _set(marks: dict[str, FlagState], partition: str, mark: FlagState, act: UserAction) -> None:
    """What the partition says last stands; what is sent again undoes nothing that happened after it."""
    known = marks.get(partition)
    if not (act.again and is_outdated(mark.at, known.at if known else None)):
        marks[partition] = mark


def _remember(marks: dict[str, None], mark: str) -> None:
    marks[mark] = None
    if len(marks) > SEEN:
        del marks[next(iter(marks))]


def _ordered(entry: EntryDocument) -> EntryDocument:
    """The entry with its places in the lists that it belongs into."""
    liked_at, uploaded_at = entry.liked_at, entry.uploaded_at
    recent_at = entry.last_played_at or max([*_known(liked_at), *_known(uploaded_at)], default=None)
    return structs.replace(
        entry,
        by_recent=_order(recent_at, entry.song_id),
        by_plays=None if recent_at is None else f"{entry.plays:010} {entry.song_id}",
        by_liked=_order(liked_at, entry.song_id),
        by_uploaded=_order(uploaded_at, entry.song_id),
    )


def _order(at: datetime | None, song_id: str) -> str | None:
    """Of a fixed width up to the id, so that it sorts as time does and tells apart songs of one moment."""
    return None if at is None else f"{at.isoformat(timespec='microseconds')} {song_id}"


def _blank(user_id: str, song_id: str) -> EntryDocument:
    return EntryDocument(id=entry_id(song_id), user_id=user_id, song_id=song_id)


def _by_song(acts: Sequence[UserAction]) -> dict[str, list[UserAction]]:
    found: dict[str, list[UserAction]] = {}
    for act in acts:
        found.setdefault(act.song_id, []).append(act)
    return found


def _marks(written: str) -> dict[str, None]:
    """Marks in their order."""
    return dict.fromkeys(written[start : start + MARK_LETTERS] for start in range(0, len(written), MARK_LETTERS))


def _moments(known: datetime | None, listens: Sequence[Listen]) -> list[datetime]:
    return [*_known(known), *(listen.at for listen in listens)]


def _known(moment: datetime | None) -> list[datetime]:
    return [] if moment is None else [moment]


def _is(moment: datetime | None) -> bool:
    return moment is not None
