"""What the system has accepted from an audit: what it must not lose, whatever happens to it afterwards."""

from collections.abc import Iterable

from msgspec import Struct, field


class AcceptedEvent(Struct, frozen=True):
    """An event that the system acknowledged. `order`: its place among the events of its listener, from 0; None where
    an answer in between left it open whether later ones were taken before it."""

    id: str
    listener: str
    body: bytes
    order: int | None


class AcceptedUpload(Struct, frozen=True):
    """An upload that got its 202 at `at_s` (Unix seconds). `outcome` is what must become of it: `ready`, or the cause
    of its rejection."""

    ingestion: str
    user_id: str
    sha256: str
    outcome: str
    at_s: float


class Ledger(Struct):
    """All that an audit sent, and what was acknowledged.

    `offered` are the ids of all good events that were sent at least once, whatever became of them. `listeners` are
    all for whom something was sent. `refused` are the ids of bad events that were refused. `misjudged` are those of
    good events that were refused and of bad ones that were taken, and the keys of uploads that were refused.
    `bad_records` counts the records that the hub took past the API and nobody can read. `sent_again` counts events in
    batches that had to be sent again.
    """

    events: dict[str, AcceptedEvent] = field(default_factory=dict)
    uploads: dict[str, AcceptedUpload] = field(default_factory=dict)
    offered: set[str] = field(default_factory=set)
    listeners: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    misjudged: set[str] = field(default_factory=set)
    bad_records: int = 0
    sent_again: int = 0
    _last: dict[str, int] = field(default_factory=dict)

    def accept(self, events: Iterable[tuple[str, str, bytes]], *, is_doubtful: bool = False) -> int:
        """Record acknowledged events (id, listener, body), in the order in which they were handed in; return how many
        are new. `is_doubtful`: their order was left open."""
        new = 0
        for id_, listener, body in events:
            if id_ in self.events:
                continue
            place = self._last.get(listener, 0)
            self._last[listener] = place + 1
            self.events[id_] = AcceptedEvent(id_, listener, body, None if is_doubtful else place)
            new += 1
        return new
