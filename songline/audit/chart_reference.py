"""Charts by brute force, straight from the rules in words, to hold the product against. Uses none of its code.

The rules: of the events of one kind with the same user, song and UTC hour, the first in partition order counts. A
listen is a play of 30 s or half of the song, or one of which it is not said how long it took; imported listens are
none. Windows end with the bucket of the moment. `trending` weighs a bucket
by its age, in whole multiples of 2^-32. A song's facts are those of its owner, the user of the earliest upload by
(second at which the hub took it, partition, offset).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from msgspec import Struct, field

from songline.schemas.envelope import Event
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded

WINDOWS = {"5m": (60, 5), "1h": (60, 60), "24h": (3600, 24), "7d": (3600, 168)}


class Rules(Struct, frozen=True):
    """What a chart policy may say; the usual one is that of the rules above."""

    least_ms: int = 30_000
    share_percent: int = 50
    listen_weight: int = 1
    like_weight: int = 4
    half_life_percent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WINDOWS, 50))
    excluded: tuple[str, ...] = ()


USUAL = Rules()


class Line(Struct, frozen=True):
    rank: int
    song_id: str
    title: str | None
    artist: str | None
    genre: str | None
    listens: int
    likes: int
    score: float


def charts(
    log: Iterable[tuple[int, int, Event]],
    moment: datetime,
    second: Callable[[int], int] = lambda offset: 0,
    rules: Rules = USUAL,
) -> dict[str, list[Line]]:
    """Every chart that is not empty, by key. `log`: (partition, offset, event), each place in the log once. `second`
    tells of an offset when the hub took it; it is of no matter where each song has one uploader."""
    places = sorted(log, key=lambda place: place[:2])
    moved = list(_that_count(places, rules))
    facts = {song: event.data for song, event in _facts(places, second).items()}
    scopes: dict[str, list[tuple[str, str, int]]] = {}
    for kind, song, region, seconds in moved:
        fact = facts.get(song)
        genres = {fact.genre, *(fact.genres or ())} - {None} if isinstance(fact, SongUploaded) else set()
        names = ["global", *(f"genre:{genre}" for genre in genres or {"unknown"})]
        if region is not None:
            names.append(f"region:{region}")
        for name in names:
            scopes.setdefault(name, []).append((kind, song, seconds))
    found = {}
    for window, (length, buckets) in WINDOWS.items():
        current = int(moment.timestamp()) // length
        half = buckets * rules.half_life_percent[window] / 100
        weights = [round(2 ** (-age / half) * 2**32) for age in range(buckets)]
        kinds = {"listen": rules.listen_weight, "like": rules.like_weight, "unlike": -rules.like_weight}
        for scope, actions in scopes.items():
            listens: Counter[str] = Counter()
            likes: Counter[str] = Counter()
            scores: Counter[str] = Counter()
            for kind, song, seconds in actions:
                age = current - seconds // length
                if 0 <= age < buckets:
                    listens[song] += kind == "listen"
                    likes[song] += kind == "like"
                    scores[song] += weights[age] * kinds[kind]
            for chart, values, unit in (("top", listens, 1), ("trending", scores, 2**32)):
                shown = [song for song, value in values.items() if value > 0 and not _gone(facts, song)]
                ranked = sorted(shown, key=lambda song: (-values[song], song))[:100]
                if ranked:
                    found[f"{chart}:{window}:{scope}"] = [
                        Line(rank, song, *_words(facts, song), listens[song], likes[song], values[song] / unit)
                        for rank, song in enumerate(ranked, start=1)
                    ]
    return found


def plays(log: Iterable[tuple[int, int, Event]], rules: Rules = USUAL) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Listens, likes and unlikes of each song and hour (`2026-11-22T14`) in which there are any. `log` as of charts."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for kind, song, _, seconds in _that_count(sorted(log, key=lambda place: place[:2]), rules):
        hour = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H")
        found.setdefault((song, hour), Counter())[kind] += 1
    return {place: (counts["listen"], counts["like"], counts["unlike"]) for place, counts in found.items()}


def is_heard(play: SongPlayed, rules: Rules = USUAL) -> bool:
    """Whether a play is a listen: 30 s, or half of a song of a known length, or by its sender's word."""
    if play.played_ms is None or play.played_ms >= rules.least_ms:
        return True
    return play.duration_ms is not None and 0 < play.played_ms >= play.duration_ms * rules.share_percent / 100


def _that_count(
    places: list[tuple[int, int, Event]], rules: Rules = USUAL
) -> Iterable[tuple[str, str, str | None, int]]:
    seen = set()
    for partition, _, event in places:
        data = event.data
        if data.user_id in rules.excluded:
            continue
        if isinstance(data, SongPlayed):
            if not is_heard(data, rules):
                continue
            kind = "listen"
        elif isinstance(data, SongLiked):
            kind = "like"
        elif isinstance(data, SongUnliked):
            kind = "unlike"
        else:
            continue
        time = event.time.astimezone(UTC)
        action = (partition, kind, data.user_id, data.song_id, time.strftime("%Y-%m-%dT%H"))
        if action not in seen:
            seen.add(action)
            yield kind, data.song_id, data.region, int(time.timestamp())


def song_facts(
    log: Iterable[tuple[int, int, Event]], second: Callable[[int], int] = lambda offset: 0
) -> dict[str, Event]:
    """The event of each song that holds: its owner's upload or removal. `log` and `second` as of charts."""
    return _facts(sorted(log, key=lambda place: place[:2]), second)


def _facts(places: list[tuple[int, int, Event]], second: Callable[[int], int]) -> dict[str, Event]:
    """A song's fact is the latest by time (whole milliseconds) among its owner's last ones of each partition."""
    claims: dict[str, list[tuple[int, int, int, str]]] = {}
    for partition, offset, event in places:
        if isinstance(event.data, SongUploaded):
            claim = (second(offset), partition, offset, event.data.user_id)
            claims.setdefault(event.data.song_id, []).append(claim)
    owners = {song: min(each)[3] for song, each in claims.items()}
    last: dict[tuple[str, int], tuple[datetime, Event]] = {}
    for partition, _, event in places:
        if isinstance(event.data, SongUploaded | SongRemoved) and owners.get(event.data.song_id) == event.data.user_id:
            time = event.time.replace(microsecond=event.time.microsecond // 1_000 * 1_000)
            last[event.data.song_id, partition] = (time, event)
    facts = {}
    for (song, _), (_, fact) in sorted(last.items(), key=lambda item: (item[1][0], item[0][1])):
        facts[song] = fact
    return facts


def _gone(facts: Mapping[str, Payload], song: str) -> bool:
    return isinstance(facts.get(song), SongRemoved)


def _words(facts: Mapping[str, Payload], song: str) -> tuple[str | None, str | None, str | None]:
    fact = facts.get(song)
    return (fact.title, fact.artist, fact.genre) if isinstance(fact, SongUploaded) else (None, None, None)
