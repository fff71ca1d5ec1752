"""A listener's documents after more of their actions. Pure.

Actions that are applied again, in batches of any size, and actions of several partitions in any interleaving, give the
same documents.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import structs

from songline.processors.library.actions import MARK_LETTERS, ListenerAction
from songline.schemas.last_write import is_outdated
from songline.schemas.library.listener_documents import (
    RECENT,
    SUMMARY,
    EntryDocument,
    FlagState,
    Listen,
    SummaryDocument,
    entry_id,
)

SEEN = 64
"""A repeated event is known again among so many actions of its listener."""

MAX_SONGS = 99
"""A transactional batch of Cosmos DB takes 100 operations, and one is the summary's."""


class LibraryChange(NamedTuple):
    """A listener's documents afterwards: the summary, and by song the entries that changed."""

    summary: SummaryDocument
    entries: dict[str, EntryDocument]


def transaction_size(actions: Sequence[ListenerAction], max_songs: int = MAX_SONGS) -> int:
    """How many of the first `actions` are about `max_songs` songs at most, and so fit into one transaction."""
    songs: set[str] = set()
    for count, action in enumerate(actions):
        songs.add(action.song_id)
        if len(songs) > max_songs:
            return count
    return len(actions)


def apply_actions(
    user_id: str,
    summary: SummaryDocument | None,
    entries: Mapping[str, EntryDocument | None],
    partition: str,
    actions: Sequence[ListenerAction],
) -> LibraryChange | None:
    """The listener's documents after `actions` of `partition`, in its order; None where nothing changes.

    `entries` holds the entry of every song that `actions` are about, None where there is none. Actions up to the
    position that the summary says is applied, and repeated events among the last SEEN, change nothing.
    """
    before = summary or SummaryDocument(id=SUMMARY, user_id=user_id)
    applied, seen = before.applied.get(partition, -1), _split_marks(before.seen.get(partition, ""))
    resubmitted = _split_marks(before.resubmitted)
    fresh: list[ListenerAction] = []
    for action in actions:
        if action.position > applied and action.mark not in seen and action.resubmitted_mark not in resubmitted:
            fresh.append(action)
            _remember(seen, action.mark)
            if action.resubmitted_mark:
                _remember(resubmitted, action.resubmitted_mark)
    if not fresh:
        return None
    pairs: list[tuple[EntryDocument, EntryDocument]] = []
    for song_id, of_song in _by_song(fresh).items():
        old = entries[song_id] or EntryDocument(id=entry_id(song_id), user_id=user_id, song_id=song_id)
        pairs.append((old, _apply_to_entry(old, partition, of_song)))
    listens = [
        Listen(at=action.at, song_id=action.song_id, ms_played=action.ms_played)
        for action in fresh
        if action.kind == "listen"
    ]
    moments = [listen.at for listen in listens]
    return LibraryChange(
        structs.replace(
            before,
            listens=before.listens + len(listens),
            ms_played=before.ms_played + sum(listen.ms_played for listen in listens),
            songs=before.songs + sum((new.plays > 0) - (old.plays > 0) for old, new in pairs),
            liked=before.liked + sum(_is_set(new.liked_at) - _is_set(old.liked_at) for old, new in pairs),
            uploaded=before.uploaded + sum(_is_set(new.uploaded_at) - _is_set(old.uploaded_at) for old, new in pairs),
            first_listen_at=min(_known(before.first_listen_at, *moments), default=None),
            last_listen_at=max(_known(before.last_listen_at, *moments), default=None),
            recent=tuple(sorted([*before.recent, *listens], reverse=True)[:RECENT]),
            applied={**before.applied, partition: fresh[-1].position},
            seen={**before.seen, partition: "".join(seen)},
            resubmitted="".join(resubmitted),
        ),
        {new.song_id: new for _, new in pairs},
    )


def _apply_to_entry(before: EntryDocument, partition: str, actions: Sequence[ListenerAction]) -> EntryDocument:
    """The entry of a song after `actions` about it, in order."""
    listens = [action for action in actions if action.kind == "listen"]
    moments = [action.at for action in listens]
    likes, uploads = dict(before.likes), dict(before.uploads)
    for action in actions:
        match action.kind:
            case "like" | "unlike":
                _set_flag(likes, partition, FlagState(on=action.kind == "like", at=action.at), action)
            case "upload" | "remove":
                _set_flag(uploads, partition, FlagState(on=action.kind == "upload", at=action.at), action)
    return _with_sort_keys(
        structs.replace(
            before,
            plays=before.plays + len(listens),
            ms_played=before.ms_played + sum(action.ms_played for action in listens),
            first_played_at=min(_known(before.first_played_at, *moments), default=None),
            last_played_at=max(_known(before.last_played_at, *moments), default=None),
            likes=likes,
            uploads=uploads,
        )
    )


def _set_flag(flags: dict[str, FlagState], partition: str, state: FlagState, action: ListenerAction) -> None:
    """Let the partition's flag be `state`, unless `action` was sent again and a later one was applied meanwhile."""
    known = flags.get(partition)
    if not (action.resubmitted_mark and is_outdated(state.at, known.at if known else None)):
        flags[partition] = state


def _remember(marks: dict[str, None], mark: str) -> None:
    marks[mark] = None
    if len(marks) > SEEN:
        del marks[next(iter(marks))]


def _with_sort_keys(entry: EntryDocument) -> EntryDocument:
    """The entry with what its lists are sorted by; None for each list that it is not in."""
    liked_at, uploaded_at = entry.liked_at, entry.uploaded_at
    recent_at = entry.last_played_at or max(_known(liked_at, uploaded_at), default=None)
    return structs.replace(
        entry,
        by_recent=_sort_key(recent_at, entry.song_id),
        by_plays=None if recent_at is None else f"{entry.plays:010} {entry.song_id}",
        by_liked=_sort_key(liked_at, entry.song_id),
        by_uploaded=_sort_key(uploaded_at, entry.song_id),
    )


def _sort_key(at: datetime | None, song_id: str) -> str | None:
    """A text that sorts as time does and is unique for songs of one moment: of a fixed width up to the id."""
    return None if at is None else f"{at.isoformat(timespec='microseconds')} {song_id}"


def _by_song(actions: Iterable[ListenerAction]) -> dict[str, list[ListenerAction]]:
    found: dict[str, list[ListenerAction]] = {}
    for action in actions:
        found.setdefault(action.song_id, []).append(action)
    return found


def _split_marks(joined: str) -> dict[str, None]:
    """The marks in `joined`, in their order."""
    return dict.fromkeys(joined[start : start + MARK_LETTERS] for start in range(0, len(joined), MARK_LETTERS))


def _known(*moments: datetime | None) -> list[datetime]:
    return [moment for moment in moments if moment is not None]


def _is_set(moment: datetime | None) -> bool:
    return moment is not None
