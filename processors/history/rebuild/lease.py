"""The lease of a rebuild on the version that it makes: one process writes a version, and another one takes over what it
has left."""

import asyncio
import os
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import structs

from songline.processors.history.versions.version_store import StoredVersion, VersionOvertakenError, VersionStore
from songline.processors.runtime.owner_file import running_machine
from songline.processors.runtime.recent import is_recent
from songline.schemas.projections import VersionDocument

LEASE_S = 10.0
"""A rebuild that has recorded nothing for so long has ended."""


RENEW_S = 5.0
"""A rebuild that has recorded nothing for so long renews its lease before it sends anything."""


class RebuildRefusedError(Exception):
    """The rebuild is not begun; the message says why, and what to do."""


def own_name() -> str:
    """The name of this process, which tells others on this machine whether it lives."""
    return f"{running_machine()}:{os.getpid()}"


def has_ended(worker: str) -> bool:
    """Whether the process `worker` is known to have ended: it was one of this machine."""
    machine, _, process = worker.rpartition(":")
    if machine != running_machine() or not process.isdecimal() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def is_built(document: VersionDocument, now: datetime) -> bool:
    """Whether a rebuild writes the version, as far as is known: one that was killed has left its name."""
    if not document.worker or document.recorded_at is None or has_ended(document.worker):
        return False
    return now - document.recorded_at <= timedelta(seconds=LEASE_S)


class RebuildLease:
    """The lease of `worker` on a version in `store`. `now` gives the time of day."""

    def __init__(self, store: VersionStore, stored: StoredVersion, worker: str, now: Callable[[], datetime]) -> None:
        self._store = store
        self._stored = stored
        self._worker = worker
        self._now = now
        self._recording = asyncio.Lock()

    @property
    def document(self) -> VersionDocument:
        """The version's document as it was written last."""
        return self._stored.document

    async def take(self) -> None:
        """Take the version over for building. Raises RebuildRefusedError while another process builds it, and
        VersionOvertakenError where one begins to do so in this moment."""
        document = self.document
        if document.worker != self._worker and is_built(document, self._now()):
            raise RebuildRefusedError(
                f"version {document.version} of {document.projection} is built by another process "
                f"({document.worker.rpartition(':')[2]}) at the moment, which was at {document.events:,} events at "
                f"{document.recorded_at:%H:%M:%S} UTC: wait for it, or stop it; one that was killed is taken over "
                f"after {LEASE_S:g} s"
            )
        since = document.since if document.state == "building" else self._now()
        await self.record(structs.replace(document, state="building", since=since, worker=self._worker))

    async def record(self, document: VersionDocument) -> None:
        """Write the version's document, which renews the lease. Raises VersionOvertakenError where it is lost."""
        async with self._recording:
            await self._record(document)

    async def check(self) -> None:
        """Return where the lease is this process's, which may have been stopped. Raises VersionOvertakenError where it
        is lost, and AzureError where that can't be asked.

        Who took it counts on it that nothing is written any more: another rebuild, or an erasure.
        """
        # Again, where it was stopped while it waited for the answer.
        while not self._is_recent:
            async with self._recording:
                if not self._is_recent:
                    await self._record(self.document)

    @property
    def _is_recent(self) -> bool:
        at = self.document.recorded_at
        return at is not None and is_recent(at, self._now(), timedelta(seconds=RENEW_S))

    async def _record(self, document: VersionDocument) -> None:
        after = structs.replace(document, recorded_at=self._now())
        try:
            self._stored = await self._store.replace(self._stored, after)
        except VersionOvertakenError:
            if self.document.worker != self._worker or self._is_recent:
                raise
            raise VersionOvertakenError(
                f"version {document.version} of {document.projection} was taken from this process, which had recorded "
                "nothing for too long: by another rebuild of it, or because a listener was forgotten meanwhile. Repeat "
                "the command, and it goes on where it was"
            ) from None
