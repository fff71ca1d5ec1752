"""Listeners who are being forgotten, in a history that still has them: readers see the names that it will have.

Once it is fixed up to where a listener is forgotten, the hub's tail is read under these names, and the files of the
archive are rewritten one after the other. Read as they are, an action of an hour would count twice: by the listener's
id in one file, and by the hour's name in another.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from songline.processors.history.erasure.rename import renamed_body
from songline.schemas.erasures import Erasure
from songline.schemas.forgotten import ForgottenNames
from songline.schemas.progress import split_position


class ForgottenMeanwhileError(Exception):
    """Somebody was forgotten while a history was read. Of one listener, what was read before has the id, and what is
    read after has names: nothing that comes of both may be written."""

    def __init__(self) -> None:
        super().__init__("a listener was forgotten while the history was read, so it is read again under their names")


class _Leaving(Struct, frozen=True):
    """A listener who is being forgotten, up to the `bounds` of the hub that was created at the second `created_s`."""

    user_id: str
    names: ForgottenNames
    bounds: Mapping[str, int]
    created_s: int

    def has(self, partition: str, position: int, enqueued_s: int) -> bool:
        """Whether an event at a lasting position is up to the bounds, as the files are rewritten. A partition that the
        hub got since has nothing up to there."""
        return split_position(position)[1] <= self.bounds.get(partition, -1) or enqueued_s <= self.created_s


class NamesToCome:
    """The names of those whose erasure has begun to rename. `erasures`: the ids of all that did, done or not."""

    def __init__(self, erasures: Iterable[Erasure]) -> None:
        known = [one for one in erasures if one.hub_created_at is not None]
        self.erasures = frozenset(one.id for one in known)
        self._leaving = [
            _Leaving(one.user_id, ForgottenNames(bytes.fromhex(one.key)), one.bounds, int(at.timestamp() // 1))
            # Of a listener who was forgotten twice, what came before the first has the names of the first.
            for one in sorted(known, key=lambda one: one.requested_at)
            if one.user_id is not None and (at := one.hub_created_at) is not None
        ]

    def renamed(
        self, partition: str, positions: Sequence[int], enqueued_s: Sequence[int], bodies: list[bytes]
    ) -> list[bytes]:
        """The bodies of a partition's events at lasting positions, where those of these listeners have their names;
        `bodies` itself where nobody is being forgotten."""
        if not self._leaving:
            return bodies
        return [
            self._renamed(partition, position, second, body)
            for position, second, body in zip(positions, enqueued_s, bodies, strict=True)
        ]

    def _renamed(self, partition: str, position: int, enqueued_s: int, body: bytes) -> bytes:
        for one in self._leaving:
            if one.has(partition, position, enqueued_s):
                body = renamed_body(body, one.user_id, one.names, enqueued_s)[0]
        return body


NOBODY_LEAVES = NamesToCome(())


async def nobody_leaves() -> NamesToCome:
    """The names where nobody is ever forgotten."""
    return NOBODY_LEAVES
