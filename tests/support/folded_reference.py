"""Libraries by brute force, straight from the rules in words, to hold the fold of actions against.

The rules: a listen is known again by its song, its moment and its event's id, wherever and whenever it comes again. A
like or an upload is known again likewise in its partition. What a partition said last of a like or an upload holds;
between partitions the later one by time, then the higher partition. One that is sent again says nothing where its
partition's last one is as late or later. An imported listen (`coarse`: its minute is known) counts not beside another
listen of its song that is the same.
"""

from collections.abc import Iterable

from songline.schemas.library.action import UserAction
from songline.schemas.library.fold import RECENT, FoldedLibrary, FoldedSong

ON_AND_OFF = (("like", "unlike"), ("upload", "remove"))


def expected_library(log: Iterable[UserAction]) -> FoldedLibrary:
    """The library of the actions of one listener, each with a position of its own. No carried rows."""
    rows: dict[str, FoldedSong] = {}
    in_order = sorted(log, key=lambda action: (action.partition, action.position))
    heard = _without_same(_first_of_each([each for each in in_order if each.kind in ("listen", "imported", "coarse")]))
    for song_id in sorted({action.song_id for action in in_order}):
        of_song = [each for each in in_order if each.song_id == song_id]
        listens = [each for each in heard if each.song_id == song_id]
        moments = [each.at_us for each in listens]
        liked_us, uploaded_us = (_since(of_song, on, off) for on, off in ON_AND_OFF)
        if listens or liked_us is not None or uploaded_us is not None:
            rows[song_id] = FoldedSong(
                song_id,
                len(listens),
                sum(each.ms_played for each in listens),
                min(moments, default=None),
                max(moments, default=None),
                liked_us,
                uploaded_us,
            )
    moments = [each.at_us for each in heard]
    recent = sorted(((each.at_us, each.song_id, each.ms_played) for each in heard), reverse=True)
    return FoldedLibrary(
        songs=tuple(rows.values()),
        listens=len(heard),
        ms_played=sum(each.ms_played for each in heard),
        heard=len({each.song_id for each in heard}),
        liked=len([row for row in rows.values() if row.liked_us is not None]),
        uploaded=len([row for row in rows.values() if row.uploaded_us is not None]),
        first_us=min(moments, default=None),
        last_us=max(moments, default=None),
        recent=tuple(recent[:RECENT]),
    )


def _first_of_each(listens: list[UserAction]) -> list[UserAction]:
    found: dict[tuple[object, ...], UserAction] = {}
    for each in listens:
        found.setdefault((each.song_id, each.at_us, each.mark, each.kind), each)
    return list(found.values())


def _without_same(listens: list[UserAction]) -> list[UserAction]:
    grades = {"listen": 0, "imported": 1, "coarse": 2}
    kept: list[UserAction] = []
    for each in sorted(listens, key=lambda one: (one.song_id, one.at_us, grades[one.kind], -one.ms_played)):
        before = kept[-1] if kept and kept[-1].song_id == each.song_id else None
        is_same = before is not None and (
            each.at_us // 1_000_000 - before.at_us // 1_000_000 <= 1
            or (before.kind == "coarse" and each.at_us - before.at_us < 60_000_000)
        )
        if before is None or not is_same or (before.kind == each.kind == "listen"):
            kept.append(each)
        elif grades[each.kind] < grades[before.kind]:
            kept[-1] = each
    return kept


def _since(actions: list[UserAction], on: str, off: str) -> int | None:
    said: dict[int, UserAction] = {}
    seen = set()
    for each in actions:
        event = (each.partition, each.at_us, each.mark, each.kind)
        if each.kind not in (on, off) or event in seen:
            continue
        seen.add(event)
        if each.is_resubmitted and each.partition in said and said[each.partition].at_us >= each.at_us:
            continue
        said[each.partition] = each
    last = max(said.values(), key=lambda each: (each.at_us, each.partition), default=None)
    return last.at_us if last is not None and last.kind == on else None
