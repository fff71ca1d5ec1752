"""The attempts of one stay: what a partition's reader is about to fold is in the store before it folds it."""

from collections.abc import Callable

from msgspec import structs

from songline.processors.runtime.attempt_store import AttemptStore
from songline.processors.runtime.attempts import (
    LARGEST_PIECE,
    STRIDE,
    Attempt,
    Dissection,
    attempt_before,
    begin_attempt,
    is_culprit,
    plan_dissection,
)
from songline.processors.runtime.persistent_retry import PersistentRetry

ENDED = "the reader ended each time that this record was folded alone: it was killed, or hung"


class AttemptLog:
    """The attempts under `key` of the stay `owner`. `parked_in_a_row` gives what is noted with each of them."""

    def __init__(
        self,
        store: AttemptStore,
        key: str,
        owner: str,
        retries: PersistentRetry,
        parked_in_a_row: Callable[[], int],
    ) -> None:
        self._store = store
        self._key = key
        self._owner = owner
        self._retries = retries
        self._parked_in_a_row = parked_in_a_row
        self._attempt = Attempt(id=key, owner=owner, first=0)
        self._before: Attempt | None = None
        self._is_read = False

    async def read(self) -> None:
        """Read the attempt of the stay before. Raises AzureError, and may be called again."""
        if not self._is_read:
            self._before = await self._store.read(self._key)
            # Not read again after an answer that got lost: that would be the stay's own attempt.
            self._is_read = True

    async def begin(self, position: int, hub_last: int) -> Dissection | None:
        """Write the attempt of a stay that begins at `position`; how to fold after an earlier one that a record may
        have ended, which was read before.

        Raises AzureError, and may be called again then.
        """
        plan = plan_dissection(self._before, position, hub_last, STRIDE, LARGEST_PIECE)
        self._attempt = begin_attempt(self._before, self._key, self._owner, position)
        if plan is not None and not plan.is_suspect(position):
            # The first piece in the same write, beside what is known of the stay before.
            last = position + plan.next_size(position) - 1
            first_piece = attempt_before(self._attempt, plan, position, last) or self._attempt
            self._attempt = structs.replace(first_piece, error=self._attempt.error)
        await self._store.write(self._attempt)
        return plan

    @property
    def follows_open(self) -> bool:
        """Whether the stay before is not known to have ended well."""
        return self._before is not None and self._before.open

    @property
    def earlier_parked_in_a_row(self) -> int:
        """How many records in a row earlier stays parked last."""
        return self._attempt.parked_in_a_row

    @property
    def error(self) -> str:
        """The error that ended earlier stays at this place; empty where none was seen."""
        return self._attempt.error

    def is_culprit(self, position: int) -> bool:
        """Whether the record at `position` alone has ended so many stays that it is parked without another try."""
        return is_culprit(self._before, position)

    async def begin_piece(self, plan: Dissection, first: int, last: int) -> None:
        """Return once an attempt that covers the records from `first` to `last`, a piece of `plan`, is in the store."""
        attempt = attempt_before(self._attempt, plan, first, last)
        if attempt is None and self._attempt.parked_in_a_row == self._parked_in_a_row():
            return
        self._attempt = attempt or self._attempt
        await self.write()

    def end_piece(self) -> None:
        """What earlier stays did in this piece matters no longer."""
        self._before = None

    async def write(self, error: str | None = None) -> None:
        """Return once the attempt is in the store, with the `error` that ends the stay if there is one."""
        self._attempt = structs.replace(
            self._attempt,
            parked_in_a_row=self._parked_in_a_row(),
            error=self._attempt.error if error is None else error,
        )

        async def write() -> None:
            await self._store.write(self._attempt)

        await self._retries.run(write)

    async def close(self) -> None:
        """Note that the stay ended well. Raises AzureError."""
        await self._store.close(self._key, self._owner, self._parked_in_a_row())
