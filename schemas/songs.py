"""Songs as the read side keeps and serves them: the documents of the container `songs`.

A song's document holds its owner's last fact in each partition of `music-events`, and, apart, the facts of other
users, which never show: see `schemas.ownership`. Applying the same fact again, or facts in another order, makes the
same document.
"""

from collections.abc import Mapping
from typing import Self

from msgspec import Struct, structs

from songline.schemas.moments import milliseconds
from songline.schemas.ownership import LEGACY_S, NOBODY, Claim, Key, bounded, holding, owner_of
from songline.schemas.progress import Freshness
from songline.schemas.types import Artists, DurationMs, Genre, Genres, Id, MediaType, Moment, Sha256, Size, Text


class Song(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song that is available. Its audio is the blob `sha256` of the container `songs`, `size` bytes.

    A song that was announced without its audio (by another system, or a simulator) has none to play. `artist` is what
    is shown; where it names several, `artists` has each of them. `genre` is the first of `genres`.
    """

    id: Id
    user_id: Id
    title: Text
    artist: Text
    duration_ms: DurationMs
    uploaded_at: Moment
    album: Text | None = None
    genre: Genre | None = None
    sha256: Sha256 | None = None
    size: Size | None = None
    content_type: MediaType | None = None
    artists: Artists | None = None
    genres: Genres | None = None


class Fact(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A user's last fact about a song in a partition, from the event at `position` (its sequence number), of the moment
    `at`. Without a `song` it has gone. `claim`: where their first upload of the song stands in that partition.

    What was written before facts had users has neither `user_id` nor `claim`.
    """

    position: int
    at: Moment
    song: Song | None = None
    user_id: Id | None = None
    claim: Claim | None = None

    @property
    def time_ms(self) -> int:
        """Unix milliseconds of `at`."""
        return milliseconds(self.at)

    def claiming(self, claim: Claim | None) -> Self:
        """The same with another claim."""
        return structs.replace(self, claim=claim)


class SongDocument(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song, or what is left of one that has gone: `facts` of its owner by partition. `others` are facts of users who
    do not own it, by partition and user with a space between; they are kept for the case that an earlier upload of
    theirs is read, and show nowhere.

    What it is found by is there only while it is available: `order` puts the newest first, descending; `artist` and
    `words` (of title, artists and album) are folded as `songline.schemas.search` does, in its version `folding`; behind
    a space, which no word has, `words` also says whole artists and genres.
    """

    id: Id
    facts: dict[str, Fact]
    others: dict[str, Fact] = {}
    order: str | None = None
    artist: str | None = None
    genre: Genre | None = None
    words: tuple[str, ...] = ()
    folding: int | None = None

    @property
    def latest(self) -> Fact | None:
        """The fact that holds; None while nobody has uploaded the song."""
        return holding(self.all_facts)

    @property
    def song(self) -> Song | None:
        """The song; None where it has gone, or where nobody has uploaded it."""
        return None if self.latest is None else self.latest.song

    @property
    def owner(self) -> str | None:
        """Whose song it is, also when it has gone; None where nobody has uploaded it, or where that is not known."""
        return owner_of(self.all_facts) or None

    @property
    def all_facts(self) -> Mapping[Key, Fact]:
        """All facts by partition and user."""
        others = {(int(key.partition(" ")[0]), fact.user_id or NOBODY): fact for key, fact in self.others.items()}
        return {**others, **_named(self.facts)}


def filed(said: Mapping[Key, Fact]) -> tuple[dict[str, Fact], dict[str, Fact]]:
    """`facts` and `others` of a document, of all facts by partition and user."""
    owner = owner_of(said)
    facts, others = {}, {}
    for (partition, user), fact in sorted(bounded(said).items()):
        if user == owner:
            facts[str(partition)] = fact
        else:
            others[f"{partition} {user}"] = fact
    return facts, others


def _named(facts: Mapping[str, Fact]) -> dict[Key, Fact]:
    """The owner's facts by partition and user. Facts without a user are named after their songs and claim before all
    that have one, the earliest event first. A removal names no user: it counts as the owner's, so that a removed song
    stays removed."""
    songs = [(fact.time_ms, int(partition), fact.song) for partition, fact in facts.items() if fact.song is not None]
    owner = min(songs, key=lambda said: said[:2])[2].user_id if songs else None
    found = {}
    for partition, fact in facts.items():
        named = fact
        if fact.user_id is None:
            user = owner if fact.song is None else fact.song.user_id
            claim = fact.claim or Claim(LEGACY_S + fact.time_ms // 1_000, fact.position)
            named = structs.replace(fact, user_id=user, claim=claim)
        found[int(partition), named.user_id or NOBODY] = named
    return found


class SongAnswer(Freshness, frozen=True, kw_only=True, rename="camel"):
    """A song, and how fresh the answer is."""

    song: Song


class SongsAnswer(Freshness, frozen=True, kw_only=True, rename="camel"):
    """A page of songs, the newest first. `next` is the cursor of the next page, None on the last one."""

    songs: tuple[Song, ...]
    next: str | None
