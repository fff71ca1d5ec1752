"""A listener's library in the documents of the former version, as the actions that it comes to. Pure.

The former version kept sums: how often a song was played and for how long, the last fifty listens, the last like and
upload of each partition, and which events it knows again. So what is carried over are sums too.
"""

from base64 import urlsafe_b64decode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from songline.schemas.library.action import MARK_BYTES, Kind, UserAction, microseconds
from songline.schemas.library.listener_documents import EntryDocument, FlagState, Listen, SummaryDocument

_MARK_LETTERS = MARK_BYTES * 4 // 3


class TornLibraryError(ValueError):
    """The documents of a listener were read while they were written: their sums do not add up. Read them again."""


def carried_actions(
    summary: SummaryDocument, entries: Iterable[EntryDocument], *, strict: bool = True
) -> list[UserAction]:
    """The rows that a listener's documents come to, in any order; a fold of them gives the same library.

    A listen whose moment is known is a row of its own. The others of a song are one row. All sums name the state that
    they are of, by how much is applied in it: where the former version went on after a try, those of the later state
    hold. Raises TornLibraryError; where it is not `strict`, what the entries say counts.
    """
    recent: defaultdict[str, list[Listen]] = defaultdict(list)
    for listen in summary.recent:
        recent[listen.song_id].append(listen)
    rows: list[UserAction] = []
    state = sum(position + 1 for position in summary.applied.values())
    plays = ms_played = 0
    for entry in entries:
        rows += _listens(summary.user_id, entry, recent.pop(entry.song_id, []), state, strict)
        rows += _flags(summary, entry.song_id, entry.likes, "like", "unlike")
        rows += _flags(summary, entry.song_id, entry.uploads, "upload", "remove")
        plays += entry.plays
        ms_played += entry.ms_played
    if strict and (recent or (plays, ms_played) != (summary.listens, summary.ms_played)):
        raise TornLibraryError(
            f"the songs of {summary.user_id} have {plays} listens of {ms_played} ms, their summary has "
            f"{summary.listens} of {summary.ms_played} ms"
        )
    for partition, position in summary.applied.items():
        rows.append(_row(summary.user_id, "applied", int(partition), position, state))
        for mark in _marks(summary.seen.get(partition, "")):
            rows.append(_row(summary.user_id, "known", int(partition), position, state, mark))
    return rows


def _listens(
    user_id: str, entry: EntryDocument, recent: list[Listen], state: int, strict: bool
) -> Iterator[UserAction]:
    carried = partial(UserAction, user_id, entry.song_id, kind="carried", partition=-1, position=-1, import_mark=state)
    plays = entry.plays - len(recent)
    ms_played = entry.ms_played - sum(listen.ms_played for listen in recent)
    if plays < 0 or ms_played < 0 or (plays == 0 and ms_played):
        if strict:
            raise TornLibraryError(f"song {entry.song_id} of {user_id}: {entry.plays} listens, {len(recent)} moments")
        recent, plays, ms_played = [], entry.plays, entry.ms_played
    for number, listen in enumerate(recent):
        at_us = microseconds(listen.at)
        # Their events' marks are not known: numbers tell two of one moment apart.
        yield carried(at_us=at_us, mark=number, ms_played=listen.ms_played, first_us=at_us)
    if plays and entry.first_played_at is not None and entry.last_played_at is not None:
        first_us = microseconds(entry.first_played_at)
        # The last ones are rows of their own, and when the last of the others was is not known.
        last_us = first_us if recent else microseconds(entry.last_played_at)
        yield carried(at_us=last_us, mark=len(recent), ms_played=ms_played, plays=plays, first_us=first_us)


def _flags(
    summary: SummaryDocument, song_id: str, flags: Mapping[str, FlagState], on: Kind, off: Kind
) -> Iterator[UserAction]:
    """What each partition said last. Its events up to the applied position came before that, or are it."""
    for partition, state in flags.items():
        position = summary.applied.get(partition, -1)
        kind = on if state.on else off
        yield UserAction(summary.user_id, song_id, microseconds(state.at), 0, kind, int(partition), position)


def _row(user_id: str, kind: Kind, partition: int, position: int, state: int, mark: int = 0) -> UserAction:
    return UserAction(user_id, "", 0, mark, kind, partition, position, import_mark=state)


def _marks(joined: str) -> Iterator[int]:
    for start in range(0, len(joined), _MARK_LETTERS):
        yield int.from_bytes(urlsafe_b64decode(joined[start : start + _MARK_LETTERS]), "big")
