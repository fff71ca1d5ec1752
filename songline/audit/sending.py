"""Sends the load of an audit to a system for its time, and until all that was sent is accepted."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import inf
from typing import Protocol

import httpx
from msgspec import Struct

from songline.audit.bad_bodies import bad_bodies
from songline.audit.bad_record_lane import BadRecordLane
from songline.audit.event_lane import EventLane
from songline.audit.history import OperationHistory
from songline.audit.ledger import Ledger
from songline.audit.load import LoadNames, load
from songline.audit.plan import AuditConfig
from songline.audit.sample_songs import sample_songs
from songline.audit.tasks import Work, begun, until, wait_for_first
from songline.audit.upload_lane import UploadLane
from songline.cloud.concurrency import end_task
from songline.cloud.settings import EventHubsSettings

LANES = 6
TELL_EACH_S = 10.0
MOST_WAITING = 2_000


class NotAcceptedError(Exception):
    """Not all that was sent was accepted in time."""


class Senders(Struct, frozen=True, kw_only=True):
    """What a load is sent with. `uploaders`: clients with the tokens of users, by user. `bad_records`: where records
    that nobody can read are written; None for none."""

    api: httpx.AsyncClient
    uploaders: Mapping[str, httpx.AsyncClient]
    bad_records: EventHubsSettings | None


class Disturbance(Protocol):
    """What is done to the system meanwhile, until `end_s` (monotonic)."""

    async def __call__(self, end_s: float) -> None: ...


class AuditLoad:
    """The load of one audit. `is_doubtful`: see EventLane. `tell` is called now and then with the seconds left."""

    def __init__(
        self,
        config: AuditConfig,
        names: LoadNames,
        ledger: Ledger,
        history: OperationHistory,
        is_doubtful: Callable[[], bool],
        tell: Callable[[float], None],
    ) -> None:
        self._config, self._names, self._tell = config, names, tell
        self._ledger, self._history, self._is_doubtful = ledger, history, is_doubtful

    async def send(self, senders: Senders, disturb: Disturbance) -> None:
        """Send for the minutes that are asked for; return once everything that was begun is accepted.

        Raises NotAcceptedError, and what `disturb` raises.
        """
        config, run_id = self._config, f"{self._config.seed}-{int(time.time())}"
        lanes = [
            EventLane(number, senders.api, self._ledger, self._history, self._is_doubtful) for number in range(LANES)
        ]
        uploaders = [
            UploadLane(client, self._ledger, self._history, name, run_id) for name, client in senders.uploaders.items()
        ]
        each_s = len(uploaders) / config.uploads_each_s
        works: list[Work] = [lane.run() for lane in lanes]
        works += [each.run(sample_songs(config.seed * 100 + number), each_s) for number, each in enumerate(uploaders)]
        bad = None
        if senders.bad_records is not None:
            bad = BadRecordLane(senders.bad_records, self._ledger, self._history)
            works.append(bad.run(bad_bodies(config.seed), 1 / config.bad_records_each_s))
        end_s = time.monotonic() + config.minutes * 60
        tasks = [begun(work) for work in works]
        load_task, disturbing = begun(self._put_events(lanes)), begun(disturb(end_s))
        try:
            while (left_s := end_s - time.monotonic()) > 0:
                await wait_for_first(min(TELL_EACH_S, left_s), load_task, disturbing, *tasks)
                self._tell(left_s)
            await end_task(load_task)
            await disturbing
            for uploader in uploaders:
                uploader.is_closed = True
            if bad is not None:
                bad.is_closed = True
            for lane in lanes:
                lane.close()
            done, waiting = await asyncio.wait(tasks, timeout=config.recovers_s)
            for task in done:
                task.result()
            if waiting:
                raise NotAcceptedError(f"not all that was sent was accepted within {config.recovers_s:.0f} s")
        finally:
            for task in (load_task, disturbing, *tasks):
                await end_task(task)

    async def _put_events(self, lanes: list[EventLane]) -> None:
        for due, event in load(self._config, datetime.now(UTC), self._names):
            early_s = (due - datetime.now(UTC)).total_seconds()
            if early_s > 0.01:
                await asyncio.sleep(early_s)
            await until(lambda: sum(map(len, lanes)) <= MOST_WAITING, inf)
            lanes[hash_of(event.listener) % len(lanes)].put(event)


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return sum(number * byte for number, byte in enumerate(text.encode(), start=1))
