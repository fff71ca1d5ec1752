"""An erasure in the hands of a worker: what its steps ask for, and where they record how far they are."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct, structs

from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.schemas.erasures import Erasure, SongsChoice, StepProgress
from songline.schemas.forgotten import ForgottenNames

LEASE = timedelta(minutes=2)
CLOCKS = timedelta(days=1)
"""Two machines' clocks differ by less. Which uploads of the last day came before the bounds is noted, not reckoned."""


class HeldRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """Something of a listener that `place` holds: what it is (`kind`), its id there, and all of it as JSON has it."""

    place: str
    kind: str
    id: str
    value: dict[str, Any]


class StepResult(Struct, frozen=True):
    """What a step did: counts by what they are of, and why there was nothing to do."""

    counts: Mapping[str, int]
    note: str = ""


class NotYetError(Exception):
    """A step has to wait for something else; the sentence says for what. It is tried again later."""


class LeaseLostError(Exception):
    """Another worker has the erasure now."""


class ErasureJob:
    """An erasure that is being carried out by `worker`, which renews its `lease`; `now` returns aware times."""

    def __init__(
        self,
        store: ErasureStore,
        erasure: Erasure,
        worker: str,
        now: Callable[[], datetime],
        lease: timedelta = LEASE,
    ) -> None:
        if erasure.user_id is None:
            raise ValueError(f"erasure {erasure.id} has no listener")
        self.user_id = erasure.user_id
        self.key = bytes.fromhex(erasure.key)
        self.names = ForgottenNames(self.key)
        self.erasure = erasure
        self.now = now
        self._store = store
        self._worker = worker
        self._lease = lease

    @property
    def songs(self) -> SongsChoice:
        return self.erasure.songs

    @property
    def bounds(self) -> Mapping[str, int]:
        """Partition of `music-events` to the sequence number up to which the listener is forgotten."""
        return self.erasure.bounds

    def is_later(self, id_: str, received_at: datetime, noted: Collection[str] | None) -> bool:
        """Whether an upload, or an import, came after the bounds were fixed, with which those of the last day were
        `noted`. What received it and what fixed them have two clocks."""
        fixed = self.erasure.step("hub")
        if fixed is None:
            return False
        if noted is None:
            # The bounds were fixed by a release that noted none.
            return received_at > fixed.done_at
        return received_at > fixed.done_at - CLOCKS and id_ not in noted

    def progress(self, name: str) -> StepProgress:
        """How far the step of this name is."""
        found = self.erasure.progress
        return found if found is not None and found.name == name else StepProgress(name=name)

    async def record(self, progress: StepProgress) -> None:
        """Return once it is recorded how far a step is. Raises LeaseLostError and AzureError."""
        await self.change(lambda before: structs.replace(before, progress=progress))

    async def check(self) -> None:
        """Return where the erasure is this worker's, which may have been stopped. Raises LeaseLostError and AzureError.

        A step asks before it takes away what has no bounds: another worker may have finished the erasure, and the
        listener begun anew.
        """
        while not self._is_recent:
            await self.renew()

    @property
    def _is_recent(self) -> bool:
        """Whether more than three quarters of the lease are left."""
        until = self.erasure.lease_until
        return until is not None and 0.75 * self._lease < until - self.now() <= self._lease

    async def renew(self) -> None:
        """Renew the lease. Raises LeaseLostError and AzureError."""
        until = self.now() + self._lease
        await self.change(lambda before: structs.replace(before, lease_until=until))

    async def change(self, step: Callable[[Erasure], Erasure]) -> None:
        """Change the erasure. Raises LeaseLostError and AzureError."""

        def owned(before: Erasure) -> Erasure:
            if before.worker != self._worker or before.state != "running":
                raise LeaseLostError(f"erasure {before.id} is another worker's")
            return step(before)

        self.erasure = await self._store.change(self.erasure.id, owned)


class ErasureStepRunner(Protocol):
    """A step of an erasure. It may end anywhere and be run again: it then does what is left."""

    @property
    def name(self) -> str: ...

    async def run(self, job: ErasureJob) -> StepResult:
        """Do the step. Raises NotYetError, and the SDKs' errors where a service is away."""
        ...


class HoldingPlace(Protocol):
    """A place that may hold something of a listener."""

    @property
    def name(self) -> str: ...

    def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """All that the place holds of the listener. Raises the SDKs' errors."""
        ...


async def count_held(places: Iterable[HoldingPlace], user_id: str) -> dict[str, int]:
    """What the places hold of the listener, by kind. Raises the SDKs' errors."""
    counts: dict[str, int] = {}
    for place in places:
        async for record in place.held(user_id):
            counts[record.kind] = counts.get(record.kind, 0) + 1
    return counts
