"""Which songs of the catalog stand behind names: what was said of each name, and the events that follow from it. Pure.

Statements are events. Each holds for what the hub takes from some seconds after it on, a moment that all readers know
before it comes, so that an event which is read twice is of the same song both times. A rebuild takes what was said by
its own moment for all events before that.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct, structs

from songline.schemas.decoding import Decoder
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.events import ListenImported, SongLiked, SongPlayed, SongUnliked
from songline.schemas.song_names import is_name_id, key_of, name_id
from songline.schemas.types import NAME_PREFIX, NameId, OwnedId

SHARD = "@matches"
"""The partition key of all matches in the container `names`."""
CHANGES = "@changes"
"""The id of the document whose ETag changes with every match."""
KIND = "join"

LEAD_S = 5
"""A statement holds for events that the hub takes so many seconds later: by then every worker has read it."""
KEPT = 200
"""Statements of a name that are kept: the latest."""

_MARK = NAME_PREFIX.encode()
_IMPORTED = b"songline.listen.imported"


class MatchStatement(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What was said of a name by the event at `position` of `partition`, which the hub took in the Unix second
    `said_s`: it is the song `song_id`, or without one that it is none. It holds for what the hub takes in the second
    `from_s` or later."""

    said_s: int
    partition: int
    position: int
    from_s: int
    song_id: OwnedId | None = None

    @property
    def order(self) -> tuple[int, int, int]:
        """Of two statements the one holds that is later by this."""
        return self.said_s, self.partition, self.position


class NameMatch(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """All that was said of a name, in order: a document of the container `names`. `song_id` is what holds."""

    id: str
    name: NameId
    shard: str = SHARD
    kind: str = KIND
    song_id: OwnedId | None = None
    statements: tuple[MatchStatement, ...] = ()

    @property
    def latest(self) -> MatchStatement | None:
        """What was said last."""
        return self.statements[-1] if self.statements else None


def match_document_id(name: str) -> str:
    """The id of a name's NameMatch: the name itself is that of its words."""
    return f"match:{name.removeprefix(NAME_PREFIX)}"


def no_match(name: str) -> NameMatch:
    """The document of a name of which nothing was said."""
    return NameMatch(id=match_document_id(name), name=name)


def with_statement(before: NameMatch, said: MatchStatement) -> NameMatch:
    """The document with a statement more; the same one where it has that already."""
    if any(one.order == said.order for one in before.statements):
        return before
    known = sorted((*before.statements, said), key=lambda one: one.order)[-KEPT:]
    return structs.replace(before, statements=tuple(known), song_id=known[-1].song_id)


class NameMatches:
    """The matches of names, by name. Of events that the hub took in the second `known_s` or before, what was said by
    then holds, whenever they come; None: what held when they came."""

    def __init__(self, matches: Mapping[str, NameMatch], known_s: int | None = None) -> None:
        self._statements = {name: one.statements for name, one in matches.items() if one.statements}
        self._known_s = -1 if known_s is None else known_s

    def __len__(self) -> int:
        return len(self._statements)

    @property
    def joined(self) -> frozenset[str]:
        """The names behind which a song stands by what was said last."""
        return frozenset(name for name, said in self._statements.items() if said[-1].song_id is not None)

    def as_of(self, second: int) -> "NameMatches":
        """The matches as a rebuild of this moment knows them."""
        found = NameMatches({}, second)
        found._statements = self._statements
        return found

    def song_of(self, name: str, enqueued_s: int) -> str | None:
        """The song that stands behind the name for an event of this second; None where there is none."""
        for one in reversed(self._statements.get(name, ())):
            if one.said_s <= self._known_s or one.from_s <= enqueued_s:
                return one.song_id
        return None

    def matched(self, bodies: list[bytes], enqueued_s: Sequence[int], *, by_words: bool = True) -> list[bytes]:
        """The bodies of events, where those of names have the songs that these are; `bodies` itself where there are
        none. `by_words`: an imported listen is also of the name that its words make, whichever song it was matched
        with."""
        if not self._statements:
            return bodies
        marks = (_MARK, b"\\", _IMPORTED) if by_words else (_MARK, b"\\")
        found: list[bytes] | None = None
        for number, body in enumerate(bodies):
            if body and any(mark in body for mark in marks):
                after = self._matched(body, enqueued_s[number], by_words=by_words)
                if after is not body:
                    found = list(bodies) if found is None else found
                    found[number] = after
        return bodies if found is None else found

    def _matched(self, body: bytes, enqueued_s: int, *, by_words: bool) -> bytes:
        try:
            data = decode(body).data
        except PoisonError:
            return body
        if not isinstance(data, SongPlayed | SongLiked | SongUnliked | ListenImported):
            return body
        name = data.song_id
        if not is_name_id(name):
            if not (by_words and isinstance(data, ListenImported)):
                return body
            name = name_id(key_of(data.title, data.artists))
        song_id = self.song_of(name, enqueued_s)
        return body if song_id is None or song_id == data.song_id else _of_song(body, data.song_id, song_id)


NO_MATCHES = NameMatches({})


def _of_song(body: bytes, before: str, song_id: str) -> bytes:
    written = _members.decode(body)
    data = _members.decode(bytes(written["data"]))
    data["songId"] = Raw(_encode(song_id))
    written["data"] = Raw(_encode(data))
    if "subject" in written and _anything.decode(bytes(written["subject"])) == before:
        written["subject"] = Raw(_encode(song_id))
    return _encode(written)


_encode = msgspec.json.Encoder().encode
_members: Decoder[dict[str, Raw]] = Decoder(dict[str, Raw])
_anything: Decoder[object] = Decoder(object)
