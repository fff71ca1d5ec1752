"""Checks listeners' libraries against the reference. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from songline.audit.hub_log import HubLog
from songline.audit.library_reference import Row, Shelf, libraries
from songline.audit.proof import Difference, Proof, proof
from songline.schemas.library.answers import LibraryEntry, LibrarySummary, RecentListen

EMPTY = Shelf({}, (0, 0, 0, 0, 0, None, None), [])


class LibraryAnswers(Struct, frozen=True):
    """All that the API says of a listener's library: its pages, the last listens and the summary."""

    entries: tuple[LibraryEntry, ...]
    recent: tuple[RecentListen, ...]
    summary: LibrarySummary


def check_libraries(log: HubLog, answers: Mapping[str, LibraryAnswers]) -> Proof:
    """`answers`: by listener; all whom the log names must be there."""
    return proof(
        "libraries-equal",
        "Every listener's library equals the reference: songs, plays, time, likes, uploads, last listens and totals.",
        {
            "listeners": len(answers),
            "songs": sum(len(one.entries) for one in answers.values()),
            "listens": sum(one.summary.listens for one in answers.values()),
        },
        _wrong(log, answers),
    )


def _wrong(log: HubLog, answers: Mapping[str, LibraryAnswers]) -> Iterator[Difference]:
    expected = libraries(log.events)
    for listener in sorted(expected.keys() | answers.keys()):
        where = f"/v1/users/{listener}/library"
        if listener not in answers:
            yield Difference(f"the library of {listener} was not read", None, None, where)
            continue
        shelf, found = expected.get(listener, EMPTY), answers[listener]
        seen = _rows(found)
        if len(seen) != len(found.entries):
            yield Difference(f"the library of {listener} has a song twice", len(seen), len(found.entries), where)
        for song in sorted(shelf.rows.keys() | seen.keys()):
            if shelf.rows.get(song) != seen.get(song):
                yield Difference(f"{listener}, song {song}", shelf.rows.get(song), seen.get(song), where)
        if shelf.totals != (totals := _totals(found.summary)):
            where = f"/v1/users/{listener}/summary"
            yield Difference(f"the totals of {listener}", shelf.totals, totals, where)
        recent = [(one.at, one.song_id, one.ms_played) for one in found.recent]
        if shelf.recent != recent:
            yield Difference(f"the last listens of {listener}", shelf.recent[:3], recent[:3], where)


def _rows(found: LibraryAnswers) -> dict[str, Row]:
    return {
        one.song_id: Row(
            one.plays, one.ms_played, one.first_played_at, one.last_played_at, one.liked_at, one.uploaded_at
        )
        for one in found.entries
    }


def _totals(one: LibrarySummary) -> tuple[Any, ...]:
    return (
        one.listens, one.ms_played, one.songs, one.liked, one.uploaded, one.first_listen_at, one.last_listen_at,
    )  # fmt: skip
