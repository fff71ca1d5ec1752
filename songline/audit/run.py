"""An audit from its beginning to its report: starts a system, loads it, disturbs it, lets it rest, and checks it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any

import httpx
from msgspec import Struct

from songline.audit.answers import ApiAnswers
from songline.audit.api_access import REQUEST_FAILURES, open_api
from songline.audit.audited_system import AuditedSystem
from songline.audit.bad_bodies import bad_bodies
from songline.audit.bad_record_lane import BadRecordLane
from songline.audit.checks import proofs
from songline.audit.event_lane import EventLane
from songline.audit.fault_injector import FaultInjector
from songline.audit.health_check import EVERYTHING, FaultSpan
from songline.audit.health_watch import POSITIONS, HealthWatch
from songline.audit.history import OperationHistory
from songline.audit.hub_log import HubLog, read_hub
from songline.audit.ledger import Ledger
from songline.audit.load import load
from songline.audit.plan import AuditConfig, fault_rounds
from songline.audit.proof import Difference, Proof, proof
from songline.audit.report import AuditReport
from songline.audit.sample_songs import sample_songs
from songline.audit.small_disk import SmallDisk
from songline.audit.upload_lane import UploadLane
from songline.cloud.settings import read_eventhubs
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

LANES = 6
UPLOADERS = 3
PROBE_S = 10.0
TELL_EACH_S = 10.0
MOST_WAITING = 2_000
INTERRUPTED = "it was interrupted"
Say = Callable[[str], None]


class _Buffered(Struct):
    buffered: int
    outbox_events: int


_buffered = Decoder(_Buffered, "not-an-answer")


class AuditRun:
    """One audit of one system. `say` shows a line of progress."""

    def __init__(
        self,
        config: AuditConfig,
        system: AuditedSystem,
        disk: SmallDisk | None,
        history: OperationHistory,
        say: Say,
        without: Mapping[str, str],
    ) -> None:
        self._config, self._system, self._history, self._say = config, system, history, say
        self._ledger = Ledger()
        self._injector = FaultInjector(system, history, disk, without)
        self._watch: HealthWatch | None = None
        self._began_s = time.time()
        self._rests_s: list[float] = []
        self._settled_s: float | None = None
        self._restarts: list[Difference] = []
        self._proofs: list[Proof] = []

    async def run(self) -> AuditReport:
        """Run it. The system is ended in any case, also when this is cancelled: then the report says so."""
        ended_early = ""
        try:
            self._say("starting a system of its own")
            await asyncio.to_thread(self._system.start)
            self._injector.spans.append(FaultSpan("start", EVERYTHING, self._began_s, time.time()))
            await self._load_and_check()
        except asyncio.CancelledError:
            ended_early = INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the system is ended, and the report says what was seen
            ended_early = f"{type(error).__name__}: {error}"
        self._say("ending the system")
        closing = asyncio.create_task(asyncio.to_thread(self._system.close))
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                # A Ctrl-C while everything ends already: the report is still written.
                ended_early = INTERRUPTED
        return self._report(ended_early)

    async def _load_and_check(self) -> None:
        environment = self._system.environment
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(open_api(environment))
            probes = await stack.enter_async_context(httpx.AsyncClient(timeout=PROBE_S, trust_env=False))
            self._watch = watch = HealthWatch(self._system.health_urls(), api, probes, self._history)
            stack.push_async_callback(_ended, _begun(watch.run()))
            stack.push_async_callback(_ended, _begun(self._keep_running()))
            uploaders = [f"uploader-{number}" for number in range(UPLOADERS)]
            clients = {name: await stack.enter_async_context(open_api(environment, name)) for name in uploaders}
            await self._load(api, clients)
            log = await self._rest(api)
            self._say("comparing all answers with the reference")
            spans, recovers_s = self._injector.spans, self._config.recovers_s
            async for one in proofs(self._ledger, log, ApiAnswers(api), environment, watch, spans, recovers_s):
                self._proofs.append(one)

    async def _load(self, api: httpx.AsyncClient, clients: Mapping[str, httpx.AsyncClient]) -> None:
        """Send for `minutes`, with rounds of faults; return once everything that was begun is accepted."""
        config, run_id = self._config, f"{self._config.seed}-{int(self._began_s)}"
        lanes = [
            EventLane(number, api, self._ledger, self._history, lambda: self._injector.is_disk_full)
            for number in range(LANES)
        ]
        uploaders = [UploadLane(client, self._ledger, self._history, name, run_id) for name, client in clients.items()]
        bad = BadRecordLane(read_eventhubs(self._system.environment), self._ledger, self._history)
        tasks = [_begun(lane.run()) for lane in lanes]
        tasks += [
            _begun(each.run(sample_songs(config.seed * 100 + number), UPLOADERS / config.uploads_each_s))
            for number, each in enumerate(uploaders)
        ]
        tasks.append(_begun(bad.run(bad_bodies(config.seed), 1 / config.bad_records_each_s)))
        load_task = _begun(self._put_events(lanes))
        end_s = time.monotonic() + config.minutes * 60
        chaos_task = _begun(self._disturb(end_s) if config.is_chaotic else asyncio.sleep(0))
        try:
            while (left_s := end_s - time.monotonic()) > 0:
                await _wait_for_first(min(TELL_EACH_S, left_s), load_task, chaos_task, *tasks)
                self._tell("under load", left_s)
            await _ended(load_task)
            self._say("ending the faults")
            await chaos_task
            await self._injector.heal()
            bad.is_closed = True
            for each in uploaders:
                each.is_closed = True
            for lane in lanes:
                lane.close()
            self._say("waiting until all that was sent is accepted")
            done, waiting = await asyncio.wait(tasks, timeout=config.recovers_s)
            for task in done:
                task.result()
            if waiting:
                unready = self._watch.unready() if self._watch is not None else ""
                raise TimeoutError(f"not all that was sent was accepted within {config.recovers_s:.0f} s; {unready}")
        finally:
            for task in (load_task, chaos_task, *tasks):
                await _ended(task)

    async def _put_events(self, lanes: list[EventLane]) -> None:
        for due, event in load(self._config, datetime.now(UTC), ""):
            early_s = (due - datetime.now(UTC)).total_seconds()
            if early_s > 0.01:
                await asyncio.sleep(early_s)
            await _until(lambda: sum(map(len, lanes)) <= MOST_WAITING, inf)
            lanes[hash_of(event.listener) % len(lanes)].put(event)

    async def _disturb(self, end_s: float) -> None:
        """Rounds of faults until `end_s` (monotonic), each followed by a rest until every process is ready."""
        watch = self._watch
        assert watch is not None
        for faults in fault_rounds(self._config.seed):
            spells = []
            try:
                for fault in faults:
                    await asyncio.sleep(fault.pause_s)
                    if time.monotonic() > end_s:
                        break
                    spells.append(_begun(self._injector.inject(fault)))
                await asyncio.gather(*spells)
            finally:
                for spell in spells:
                    await _ended(spell)
            if time.monotonic() > end_s:
                return
            began_s = time.monotonic()
            # What was seen before the last fault says nothing about the time after it.
            watch.now.clear()
            await _until(lambda: watch.is_all_ready, self._config.recovers_s)
            self._rests_s.append(time.monotonic() - began_s)

    async def _rest(self, api: httpx.AsyncClient) -> HubLog:
        """Wait until all that was accepted is applied, and return what the hub holds."""
        began_s = time.monotonic()
        self._say("waiting until all that was accepted is applied")
        assert self._watch is not None
        watch, answers = self._watch, ApiAnswers(api)
        settings = read_eventhubs(self._system.environment)
        waits_for = ""
        try:
            async with asyncio.timeout(self._config.recovers_s * 2):
                waits_for = "the API's outbox to be empty"
                await _until_async(lambda: _is_sent(api))
                waits_for = "every upload to come to its end"
                for ingestion in self._ledger.uploads:
                    await _until_async(partial(_is_settled, answers, ingestion))
                while True:
                    log = await read_hub(settings)
                    waits_for = f"every projection to be at {log.ends}"
                    for worker in POSITIONS:
                        await _until_async(partial(_is_at, watch, worker, log.ends))
                    waits_for = "every process to be ready"
                    watch.now.clear()
                    await _until(lambda: watch.is_all_ready, self._config.recovers_s)
                    if watch.is_all_ready and (await read_hub(settings)).ends == log.ends:
                        break
        except TimeoutError:
            late = [Difference("the system does not come to rest", waits_for, watch.unready(), "logs")]
            log = await read_hub(settings)
        else:
            self._settled_s, late = time.monotonic() - began_s, []
        sentence = f"Everything that was accepted was applied within {self._config.recovers_s * 2:.0f} s of the end."
        self._proofs.append(proof("comes-to-rest", sentence, {"records": len(log.records)}, late))
        return log

    async def _keep_running(self) -> None:
        """Start the system again where `songline up` has ended by itself, and note it: it must not."""
        while True:
            await asyncio.sleep(1)
            if self._system.is_running() or self._injector.is_restarting:
                continue
            said = self._system.said()[-1_500:]
            began_s = time.time()
            self._history.record("supervisor", "ended by itself", said=said)
            self._restarts.append(Difference("`songline up` ended by itself", "it runs", said, str(self._system.log)))
            await asyncio.to_thread(self._system.end)
            await asyncio.to_thread(self._system.start)
            self._injector.spans.append(FaultSpan("start", EVERYTHING, began_s, time.time()))

    def _tell(self, phase: str, left_s: float) -> None:
        faults = f", {sum(self._injector.done.values()):,} faults" if self._config.is_chaotic else ""
        unready = self._watch.unready() if self._watch is not None else ""
        self._say(
            f"{phase}: {len(self._ledger.events):,} events and {len(self._ledger.uploads):,} uploads accepted{faults}, "
            f"{left_s:.0f} s left{f'; not ready: {unready[:160]}' if unready else ''}"
        )

    def _report(self, ended_early: str) -> AuditReport:
        counts: dict[str, dict[str, int]] = {}
        for (operation, outcome), count in self._history.counts.items():
            counts.setdefault(operation, {})[outcome] = count
        of: dict[str, dict[str, int]] = {}
        for (kind, target), count in self._injector.of.items():
            of.setdefault(kind, {})[target] = count
        lives = proof(
            "supervisor-lives",
            "`songline up` kept everything running, and never ended by itself.",
            {"faults": sum(self._injector.done.values())},
            self._restarts,
        )
        return AuditReport(
            config=self._config,
            took_s=time.time() - self._began_s,
            counts=counts,
            faults=dict(self._injector.done),
            of_processes=of,
            struck=dict(self._injector.struck),
            rests_s=tuple(self._rests_s),
            settled_s=self._settled_s,
            without=dict(self._injector.without),
            proofs=(*self._proofs, lives),
            ended_early=ended_early,
        )


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return sum(number * byte for number, byte in enumerate(text.encode(), start=1))


async def _is_sent(api: httpx.AsyncClient) -> bool:
    with suppress(*REQUEST_FAILURES, PoisonError):
        found = _buffered.decode((await api.get("/health/events")).content)
        return found.buffered == 0 and found.outbox_events == 0
    return False


async def _is_settled(answers: ApiAnswers, ingestion: str) -> bool:
    found = await answers.ingestion(ingestion)
    return found is None or found.state in ("ready", "rejected", "dead")


async def _is_at(watch: HealthWatch, worker: str, ends: dict[str, int]) -> bool:
    position = await watch.position(worker)
    return all(position.get(partition, -1) >= end for partition, end in ends.items())


async def _until(condition: Callable[[], bool], deadline_s: float) -> bool:
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        await asyncio.sleep(0.2)
    return True


async def _until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - a question to another process
        await asyncio.sleep(0.5)


async def _wait_for_first(timeout_s: float, *tasks: asyncio.Task[None]) -> None:
    """Wait so long; raise at once what a task raises."""
    done, _ = await asyncio.wait(
        [task for task in tasks if not task.done()] or [asyncio.create_task(asyncio.sleep(timeout_s))],
        timeout=timeout_s,
        return_when=asyncio.FIRST_EXCEPTION,
    )
    for task in done:
        task.result()


def _begun(running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(running)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel the task and wait for its end; what it raised is raised."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
