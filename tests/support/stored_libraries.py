"""Libraries as their documents hold them, in the terms of the reference, to be compared with it."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from songline.audit.library_reference import Row, Shelf
from songline.schemas.library.action import UserAction, merge_actions, moment_of
from songline.schemas.library.action_run import decode_run
from songline.schemas.library.fold import fold_actions
from songline.schemas.library.node import TreeDocument


def stored(nodes: Iterable[TreeDocument]) -> dict[str, Shelf]:
    """What is in the documents of shelves, by listener, in the terms of the reference."""
    actions = merge_actions(decode_run(run) for node in nodes for run in node.runs)
    return {user: _folded(list(some)) for user, some in groupby(actions, key=lambda action: action.user_id)}


def _folded(actions: list[UserAction]) -> Shelf:
    library = fold_actions(actions)
    rows = {
        song.song_id: Row(
            song.plays,
            song.ms_played,
            _moment(song.first_us),
            _moment(song.last_us),
            _moment(song.liked_us),
            _moment(song.uploaded_us),
        )
        for song in library.songs
    }
    totals = (library.listens, library.ms_played, library.heard, library.liked, library.uploaded)
    moments = (_moment(library.first_us), _moment(library.last_us))
    return Shelf(rows, (*totals, *moments), [(moment_of(at_us), song, ms) for at_us, song, ms in library.recent])


def _moment(at_us: int | None) -> datetime | None:
    return None if at_us is None else moment_of(at_us)
