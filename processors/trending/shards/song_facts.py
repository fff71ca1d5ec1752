"""The facts of a shard's songs: title, artist, genres, and whether a song is removed."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from msgspec import structs

from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.wire import FACTS, SongFact
from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.documents import UNKNOWN_GENRE
from songline.schemas.ownership import LEGACY_S, NOBODY, Claim, Key, holding, learn


class RestoredFacts(NamedTuple):
    """The songs of a saved piece; and whether users were in it by their ids: what it has is in the next flush then, and
    it is to be deleted."""

    songs: list[str]
    is_former: bool


class SongFacts:
    """Of each song, the last fact of each user in each source partition. The owner's holds: see `schemas.ownership`.

    Users are known under `key`, also those whose facts come with their id, of an earlier release.
    """

    def __init__(self, key: IdentityKey) -> None:
        self._key = key
        self._former: set[str] = set()
        self._facts: dict[str, Mapping[Key, SongFact]] = {}
        self._slots: list[tuple[str, Key] | None] = []
        self._slot: dict[tuple[str, Key], int] = {}
        self._free: list[int] = []
        self._dirty: set[int] = set()

    def learn(self, partition: int, fact: SongFact) -> bool:
        """Add a fact; return whether what charts show of its song has changed."""
        before = self._facts.get(fact.song_id, {})
        after = self._add(partition, fact)
        return after is not before and _shown(holding(after)) != _shown(holding(before))

    def of(self, song_id: str) -> SongFact | None:
        """The fact that holds; None while nobody has uploaded the song."""
        return holding(self._facts.get(song_id, {}))

    def songs(self) -> list[str]:
        """All songs of which facts are known."""
        return list(self._facts)

    def genres(self, song_id: str) -> tuple[str, ...]:
        """The song's genres; UNKNOWN_GENRE where none is known."""
        fact = self.of(song_id)
        return (fact.genres if fact is not None else ()) or (UNKNOWN_GENRE,)

    def removed(self, song_id: str) -> bool:
        """Whether the song's owner has removed it."""
        fact = self.of(song_id)
        return fact is not None and fact.removed

    def flush(self) -> Iterator[tuple[int, bytes]]:
        """The pieces that changed since the last flush, by number."""
        dirty, self._dirty = self._dirty, set()
        former, self._former = self._former, set()
        dirty |= {self._slot[song_id, key] // FACTS for song_id in former for key in self._facts[song_id]}
        for piece in sorted(dirty):
            yield piece, self._encoded(piece)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """All pieces, by number."""
        for piece in range(-(-len(self._slots) // FACTS)):
            yield piece, self._encoded(piece)

    def restore(self, piece: bytes) -> RestoredFacts:
        """Take in a saved piece. Pieces may come in any order, and of several owners of the shard."""
        facts = decode_facts(piece)
        for partition, fact in facts:
            self._add(partition, fact)
        self._dirty.clear()
        songs = [fact.song_id for _, fact in facts]
        is_former = any(_is_clear(fact) for _, fact in facts)
        if is_former:
            self._former.update(songs)
        return RestoredFacts(songs, is_former)

    def _encoded(self, piece: int) -> bytes:
        slots = self._slots[piece * FACTS : (piece + 1) * FACTS]
        kept = [(key, self._facts[song_id][key]) for song_id, key in filter(None, slots)]
        return _encode([(partition, fact) for (partition, _), fact in kept])

    def _add(self, partition: int, fact: SongFact) -> Mapping[Key, SongFact]:
        """Add a fact; return all of its song, the same mapping as before where it says nothing new."""
        fact = self._keyed(fact)
        before = self._facts.get(fact.song_id, {})
        after = _learned(before, partition, fact)
        if after is not before:
            self._facts[fact.song_id] = after
            self._assign_slots(fact.song_id, before, after)
        return after

    def _keyed(self, fact: SongFact) -> SongFact:
        if not _is_clear(fact):
            return fact
        return structs.replace(fact, user_id=self._key.uploader(fact.user_id, fact.song_id), is_keyed=True)

    def _assign_slots(self, song_id: str, before: Mapping[Key, SongFact], after: Mapping[Key, SongFact]) -> None:
        """Give each fact a slot, and mark the pieces that change.

        A free slot is used again, so that the facts of strangers need no room.
        """
        for key in before.keys() - after.keys():
            slot = self._slot.pop((song_id, key))
            self._slots[slot] = None
            self._free.append(slot)
            self._dirty.add(slot // FACTS)
        for key, fact in after.items():
            if before.get(key) == fact:
                continue
            if (song_id, key) not in self._slot:
                self._slot[song_id, key] = slot = self._free.pop() if self._free else len(self._slots)
                self._slots[slot : slot + 1] = [(song_id, key)]
            self._dirty.add(self._slot[song_id, key] // FACTS)


def _learned(facts: Mapping[Key, SongFact], partition: int, fact: SongFact) -> Mapping[Key, SongFact]:
    """The facts of a song with one fact more, which may be one that was sent before facts had users.

    Such a fact claims before all facts that have a user. Users live in one partition: an upload without a user is taken
    for the upload of the first user of whom its partition has a fact about the song. A removal stays for good.
    """
    if fact.user_id == NOBODY:
        if _is_named(facts, partition, fact):
            return facts
        return learn(facts, partition, fact.claiming(Claim(LEGACY_S, fact.offset)))
    if fact.again:
        return learn(facts, partition, structs.replace(fact, again=False), again=True)
    nameless = facts.get((partition, NOBODY))
    if nameless is not None and fact.offset >= nameless.offset and _is_available(facts):
        facts = _name(facts, fact.user_id)
    return learn(facts, partition, fact)


def _is_named(facts: Mapping[Key, SongFact], partition: int, fact: SongFact) -> bool:
    """Whether `fact`, which has no user, is known as some user's by now: it comes again, or of an older save."""
    claims = [known.claim for (one, user), known in facts.items() if one == partition and user != NOBODY]
    return any(claim is not None and claim.second == LEGACY_S and claim.position >= fact.offset for claim in claims)


def _is_available(facts: Mapping[Key, SongFact]) -> bool:
    """Whether an upload without a user holds."""
    held = holding(facts)
    return held is not None and held.user_id == NOBODY and not held.removed


def _name(facts: Mapping[Key, SongFact], user_id: str) -> Mapping[Key, SongFact]:
    """The facts of a song, where `user_id` is the user of those that have none."""
    found: Mapping[Key, SongFact] = {key: fact for key, fact in facts.items() if key[1] != NOBODY}
    for (partition, user), fact in facts.items():
        if user == NOBODY:
            found = learn(found, partition, structs.replace(fact, user_id=user_id, is_keyed=True))
    return found


def _is_clear(fact: SongFact) -> bool:
    return fact.user_id != NOBODY and not fact.is_keyed


def _shown(fact: SongFact | None) -> tuple[bool, str | None, str | None, str | None, tuple[str, ...]] | None:
    """What charts show of a fact."""
    return None if fact is None else (fact.removed, fact.title, fact.artist, fact.genre, fact.more_genres)


_encode = msgspec.msgpack.Encoder().encode
decode_facts = MsgpackDecoder(list[tuple[int, SongFact]]).decode
