"""An audit of the system that runs already, beside all else that it does: with listeners of its own, who are erased."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx
from azure.core.exceptions import AzureError

from songline.audit.answers import ApiAnswers
from songline.audit.api_access import open_api
from songline.audit.chart_check import chart_keys, check_untouched
from songline.audit.chart_reference import USUAL
from songline.audit.checks import reading
from songline.audit.delivery_check import check_delivery
from songline.audit.exclusion import PREFIX, UPLOADERS, excluded
from songline.audit.health_check import check_health
from songline.audit.health_watch import HealthWatch
from songline.audit.history import OperationHistory
from songline.audit.hub_log import HubLog, read_ends, read_hub
from songline.audit.ledger import Ledger
from songline.audit.library_check import check_libraries
from songline.audit.load import LoadNames
from songline.audit.plan import AuditConfig
from songline.audit.proof import Difference, Proof, proof
from songline.audit.report import AuditReport
from songline.audit.resting import rest
from songline.audit.run import INTERRUPTED, PROBE_S, Say
from songline.audit.sending import AuditLoad, Senders
from songline.audit.song_check import check_songs
from songline.audit.tasks import begun, until
from songline.audit.upload_check import check_uploads
from songline.cloud.concurrency import end_task
from songline.cloud.settings import read_eventhubs
from songline.processes.environment import API, WORKERS
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.history.erasure.opening import open_erasures
from songline.processors.history.erasure.requests import request_erasure
from songline.processors.runtime.service_errors import last_line
from songline.schemas.erasures import Erasure

ERASED_S = 1_800.0
"""So long is waited for the erasures, which wait for Capture; then they go on by themselves."""
LOOK_S = 2.0


class NotErasedError(Exception):
    """A listener of a former audit is not erased yet. The message says what to do."""


class UnreadyError(Exception):
    """The system is not ready before anything is sent to it. The message says who, and why."""


class HereAudit:
    """One audit of the system that `environ` names. `say` shows a line of progress."""

    def __init__(self, config: AuditConfig, environ: Mapping[str, str], history: OperationHistory, say: Say) -> None:
        self._config, self._environ, self._history, self._say = config, environ, history, say
        self._ledger = Ledger()
        self._began_s = time.time()
        self._names = LoadNames(PREFIX, f"{PREFIX}{int(self._began_s)}-")
        self._settled_s: float | None = None
        self._is_patient = True
        self._proofs: list[Proof] = []

    async def run(self) -> AuditReport:
        """Run it. The audit's listeners are erased in any case. When this is cancelled, the report says so."""
        ended_early = ""
        try:
            await self._load_and_check()
        except asyncio.CancelledError:
            ended_early = INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the listeners are erased, and the report says what was seen
            ended_early = f"{type(error).__name__}: {error}"
        self._is_patient = not ended_early
        erasing = asyncio.create_task(self._erase())
        while not erasing.done():
            try:
                await asyncio.shield(erasing)
            except asyncio.CancelledError:
                # The erasures are asked for, and go on; their ends are not waited for.
                ended_early, self._is_patient = INTERRUPTED, False
        self._proofs.append(erasing.result())
        return AuditReport(
            config=self._config,
            took_s=time.time() - self._began_s,
            counts=self._history.by_operation(),
            faults={},
            of_processes={},
            struck={},
            rests_s=(),
            settled_s=self._settled_s,
            without={},
            proofs=tuple(self._proofs),
            ended_early=ended_early,
        )

    async def _load_and_check(self) -> None:
        settings, config = read_eventhubs(self._environ), self._config
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(open_api(self._environ))
            probes = await stack.enter_async_context(httpx.AsyncClient(timeout=PROBE_S, trust_env=False))
            answers = ApiAnswers(api, self._say)
            await self._check_erased(answers)
            watch = HealthWatch(health_urls(self._environ), api, probes, self._history)
            stack.push_async_callback(end_task, begun(watch.run()))
            await self._check_ready(watch)
            uploaders = {one: await stack.enter_async_context(open_api(self._environ, one)) for one in UPLOADERS}
            start = await read_ends(settings)
            load = AuditLoad(config, self._names, self._ledger, self._history, lambda: False, self._tell)
            await load.send(Senders(api=api, uploaders=uploaders, bad_records=None), _undisturbed)
            self._say("waiting until all that was accepted is applied")
            rested, self._settled_s = await rest(
                api, watch, self._ledger, settings, config.recovers_s * 2, is_alone=False
            )
            self._proofs.append(rested)
            self._say("reading what the hub took since the beginning")
            log = await read_hub(settings, after=start)
            self._say("comparing all answers about the audit's listeners with the reference")
            self._proofs += check_health(watch.samples, watch.positions, (), log, config.recovers_s)
            async for one in self._compared(own(log), log.ends, answers):
                self._proofs.append(one)

    async def _check_ready(self, watch: HealthWatch) -> None:
        self._say("waiting until every process is ready")
        if not await until(lambda: watch.is_all_ready, self._config.recovers_s):
            raise UnreadyError(f"{watch.unready()}. `songline doctor` shows details")
        # What was before says nothing about the audit.
        watch.samples.clear()
        watch.positions.clear()

    async def _check_erased(self, answers: ApiAnswers) -> None:
        for listener in (*excluded(self._config), *UPLOADERS):
            found = await answers.summary(listener)
            if found.listens or found.liked or found.uploaded:
                raise NotErasedError(
                    f"{listener} has {found.listens} listens, {found.liked} likes and {found.uploaded} songs of a "
                    "former audit: expected none. `songline forget list` shows how far its erasures are; or ask for "
                    f"it: songline forget {listener} --songs remove --undo-window 0s"
                )

    async def _compared(self, log: HubLog, ends: Mapping[str, int], answers: ApiAnswers) -> AsyncIterator[Proof]:
        songs = {event.data.song_id for _, _, event in log.events}
        listeners = {event.data.user_id for _, _, event in log.events}

        async def uploads() -> list[Proof]:
            return check_uploads(self._ledger, log, await answers.uploads(self._ledger.uploads))

        async def charts() -> list[Proof]:
            found = await answers.charts(chart_keys(log, datetime.now(UTC), USUAL), ends)
            return [check_untouched(songs, found, await answers.plays(sorted(songs), ends))]

        async def catalog() -> list[Proof]:
            return [check_songs(log, await answers.songs_of(sorted(songs)))]

        async def libraries() -> list[Proof]:
            return [check_libraries(log, await answers.libraries(sorted(listeners)))]

        for one in check_delivery(self._ledger, log):
            yield one
        readings = {"uploads": uploads, "charts": charts, "the catalog": catalog, "libraries": libraries}
        for what, read in readings.items():
            for one in await reading(what, read):
                yield one

    async def _erase(self) -> Proof:
        """Ask for the erasure of everybody for whom something was sent, and wait until it is done."""
        listeners, late = sorted(self._ledger.listeners), []
        if listeners:
            self._say(f"erasing {len(listeners)} listeners")
        try:
            async with open_erasures(self._environ) as store:
                asked = [
                    await request_erasure(
                        store, one, "remove", timedelta(), "songline audit", datetime.now(UTC), secrets.token_hex
                    )
                    for one in listeners
                ]
                end_s = time.monotonic() + ERASED_S
                while (left := await _open(store, asked)) and self._is_patient and time.monotonic() < end_s:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(LOOK_S)
            late = [
                Difference(f"erasure {one.id} goes on", "done", one.state, f"songline forget show {one.id}")
                for one in left
            ]
        except AzureError as error:
            what = "the audit's listeners could not be erased"
            late = [Difference(what, listeners, last_line(error), f"songline forget {PREFIX}… --songs remove")]
        return proof(
            "erased",
            f"The audit's listeners are erased, within {ERASED_S:.0f} s.",
            {"listeners": len(listeners)},
            late,
        )

    def _tell(self, left_s: float) -> None:
        self._say(
            f"under load: {len(self._ledger.events):,} events and {len(self._ledger.uploads):,} uploads accepted, "
            f"{left_s:.0f} s left"
        )


def health_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """Where each process of the running system says whether it is ready, as far as that is known."""
    names = {**WORKERS, "api": API}
    return {name: environ[variable] for name, variable in names.items() if environ.get(variable)}


def own(log: HubLog) -> HubLog:
    """What of the log is about the audit's listeners."""
    events = tuple(one for one in log.events if one[2].data.user_id.startswith(PREFIX))
    places = {one[:2] for one in events}
    return HubLog(tuple(one for one in log.records if (one.partition, one.position) in places), events, ())


async def _open(store: ErasureStore, asked: Iterable[Erasure]) -> list[Erasure]:
    found = [await store.read(one.id) for one in asked]
    return [one for one in found if one is not None and one.is_open]


async def _undisturbed(end_s: float) -> None:
    """Nothing is done to a system that others use."""
