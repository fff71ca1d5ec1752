"""Who owns a song, and which of the facts about it hold. Catalog and trending decide by these functions alone.

The owner is the user of the earliest `uploaded` by (second at which the hub enqueued it, partition, position). Nothing
that a sender writes into an event takes part in that, so it can't be forged; whole seconds, because the archive of a
hub keeps no finer time. Owners stay owners, also when their song is removed. Only their facts hold: in a partition the
one of the highest position, between partitions the later event time (whole milliseconds), then the higher partition.

One fact is kept of a song for each partition and user: the user's last one there, with the claim of their
first `uploaded` there. Facts are merged into it in any order and any number of times, and the same comes out.

Facts of other users are kept too, since an earlier `uploaded` of theirs may still come from a partition that is behind,
but only OTHERS of them: those with the earliest claims. One case is lost: a user with events in several partitions (no
publisher here sends so) who is known as the owner only after OTHERS strangers with earlier claims were read. The user's
facts from before that are lost. The owner's own facts are all kept, and users with events in one partition lose
nothing, however many strangers there are.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self, TypeAlias, TypeVar

from msgspec import Struct

from songline.schemas.last_write import is_outdated, last_write

OTHERS = 16
"""So many facts are kept of users who are not the owner."""

NOBODY = ""
"""The user of facts that were written before facts had users."""

LEGACY_S = -(10**12)
"""Claims that were written before claims had a second count as earlier than all others: from this second on."""

UNDATED_S = 253_402_300_799
"""The second of an event of which the hub does not say when it took it: later than all others."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Claim(Struct, frozen=True, order=True, array_like=True):
    """Where a user's first `uploaded` of a song stands in a partition: the second (since 1970) at which the hub
    enqueued it, and its position."""

    second: int
    position: int


class OwnershipFact(Protocol):
    """A user's last fact about a song in one partition. `claim` is None while they uploaded nothing there."""

    @property
    def user_id(self) -> str | None: ...
    @property
    def position(self) -> int: ...
    @property
    def time_ms(self) -> int: ...
    @property
    def claim(self) -> Claim | None: ...

    def claiming(self, claim: Claim | None) -> Self:
        """The same with another claim."""


F = TypeVar("F", bound=OwnershipFact)
Key: TypeAlias = tuple[int, str]
"""The partition and the user of a fact."""


def learn(facts: Mapping[Key, F], partition: int, fact: F, *, again: bool = False) -> Mapping[Key, F]:
    """The facts of a song with `fact` of a partition; `facts` itself where that is no news.

    `again`: the event had been parked and was sent again, behind events that happened later. It undoes none of these.
    """
    key = (partition, fact.user_id or NOBODY)
    known = facts.get(key)
    if again and known is not None and is_outdated(fact.time_ms, known.time_ms):
        fact = known.claiming(fact.claim)
    merged = fact if known is None else merge(known, fact)
    if merged == known:
        return facts
    after = {**facts, key: merged}
    if len(after) <= OTHERS:
        return after
    kept = bounded(after)
    return facts if kept == facts else kept


def merge(known: F, fact: F) -> F:
    """The one of two facts of a user and partition that has the higher position, with the earlier claim."""
    newest = fact if fact.position > known.position else known
    claims = [claim for claim in (known.claim, fact.claim) if claim is not None]
    return newest.claiming(min(claims, default=None))


def owner_of(facts: Mapping[Key, OwnershipFact]) -> str | None:
    """The owner of the song, None while nobody has uploaded it. NOBODY is an owner whose name is not known."""
    claims = [
        (fact.claim.second, partition, fact.claim.position, user)
        for (partition, user), fact in facts.items()
        if fact.claim is not None
    ]
    return min(claims)[-1] if claims else None


def holding(facts: Mapping[Key, F]) -> F | None:
    """The fact that holds, which is the owner's; None while nobody has uploaded the song."""
    owner = owner_of(facts)
    own = ((partition, fact) for (partition, user), fact in facts.items() if user == owner)
    return last_write(own, lambda fact: fact.time_ms)


def bounded(facts: Mapping[Key, F]) -> dict[Key, F]:
    """All facts of the owner, and OTHERS of the others: the earliest claims, then what has no claim."""
    owner = owner_of(facts)
    others = sorted((key for key in facts if key[1] != owner), key=lambda key: _rank(key, facts[key]))
    dropped = set(others[OTHERS:])
    return {key: fact for key, fact in facts.items() if key not in dropped}


def enqueued_second(moment: datetime | None) -> int:
    """The whole second since 1970 at which the hub enqueued an event; UNDATED_S where it does not say."""
    return UNDATED_S if moment is None else (moment - _EPOCH) // timedelta(seconds=1)


def _rank(key: Key, fact: OwnershipFact) -> tuple[bool, int, int, int, str]:
    partition, user = key
    if fact.claim is None:
        return True, 0, partition, 0, user
    return False, fact.claim.second, partition, fact.claim.position, user
