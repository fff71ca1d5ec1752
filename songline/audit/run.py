"""An audit from its beginning to its report: starts a system, loads it, disturbs it, lets it rest, and checks it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import httpx

from songline.audit.answers import ApiAnswers
from songline.audit.api_access import open_api
from songline.audit.audited_system import AuditedSystem
from songline.audit.checks import proofs
from songline.audit.fault_injector import FaultInjector
from songline.audit.health_check import EVERYTHING, FaultSpan
from songline.audit.health_watch import HealthWatch
from songline.audit.history import OperationHistory
from songline.audit.hub_log import read_hub
from songline.audit.ledger import Ledger
from songline.audit.load import LoadNames
from songline.audit.plan import AuditConfig, PlannedFault, fault_rounds
from songline.audit.proof import Difference, Proof, proof
from songline.audit.report import AuditReport
from songline.audit.resting import rest
from songline.audit.sending import AuditLoad, Senders
from songline.audit.small_disk import SmallDisk
from songline.audit.tasks import begun, until
from songline.cloud.concurrency import end_task
from songline.cloud.settings import read_eventhubs

UPLOADERS = tuple(f"uploader-{number}" for number in range(3))
PROBE_S = 10.0
INTERRUPTED = "it was interrupted"
Say = Callable[[str], None]


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
        environment, config = self._system.environment, self._config
        settings = read_eventhubs(environment)
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(open_api(environment))
            probes = await stack.enter_async_context(httpx.AsyncClient(timeout=PROBE_S, trust_env=False))
            self._watch = watch = HealthWatch(self._system.health_urls(), api, probes, self._history)
            stack.push_async_callback(end_task, begun(watch.run()))
            keeping = begun(self._keep_running())
            stack.push_async_callback(end_task, keeping)
            uploaders = {name: await stack.enter_async_context(open_api(environment, name)) for name in UPLOADERS}
            load = AuditLoad(
                config, LoadNames(), self._ledger, self._history, lambda: self._injector.is_disk_full, self._tell
            )
            await load.send(Senders(api=api, uploaders=uploaders, bad_records=settings), self._disturb)
            self._say("waiting until all that was accepted is applied")
            rested, self._settled_s = await rest(
                api, watch, self._ledger, settings, config.recovers_s * 2, is_alone=True
            )
            self._proofs.append(rested)
            self._say("reading all that the hub holds")
            log = await read_hub(settings)
            # From here on nothing is to be mended, and health is as it was.
            await end_task(keeping)
            self._say("comparing all answers with the reference")
            spans = self._injector.spans
            answers = ApiAnswers(api, self._say)
            async for one in proofs(self._ledger, log, answers, environment, watch, spans, config.recovers_s):
                self._proofs.append(one)

    async def _disturb(self, end_s: float) -> None:
        """Rounds of faults until `end_s` (monotonic), each followed by a rest until every process is ready. At the end
        nothing is disturbed any more."""
        if self._config.is_chaotic:
            for number, faults in enumerate(fault_rounds(self._config.seed), start=1):
                await self._round(faults, end_s)
                if time.monotonic() > end_s:
                    break
                await self._recover(number)
            self._say("ending the faults")
            await self._injector.heal()

    async def _round(self, faults: tuple[PlannedFault, ...], end_s: float) -> None:
        spells = []
        try:
            for fault in faults:
                await asyncio.sleep(fault.pause_s)
                if time.monotonic() > end_s:
                    break
                spells.append(begun(self._injector.inject(fault)))
            await asyncio.gather(*spells)
        finally:
            for spell in spells:
                await end_task(spell)

    async def _recover(self, number: int) -> None:
        watch = self._watch
        assert watch is not None
        began_s = time.monotonic()
        # What was seen before the last fault says nothing about the time after it.
        watch.now.clear()
        is_ready = await until(lambda: watch.is_all_ready, self._config.recovers_s)
        took_s = time.monotonic() - began_s
        self._rests_s.append(took_s)
        self._history.record("rest", "ready" if is_ready else "not ready", round=number, took_s=round(took_s, 1))

    async def _keep_running(self) -> None:
        """Start the system again where `songline up` has ended by itself, and note it: it must not."""
        while True:
            await asyncio.sleep(1)
            if self._system.is_running() or self._injector.is_restarting:
                continue
            said = self._system.said()[-1_500:]
            self._history.record("supervisor", "ended by itself", said=said)
            self._restarts.append(Difference("`songline up` ended by itself", "it runs", said, str(self._system.log)))
            await self._injector.restart()

    def _tell(self, left_s: float) -> None:
        faults = f", {sum(self._injector.done.values()):,} faults" if self._config.is_chaotic else ""
        unready = self._watch.unready() if self._watch is not None else ""
        self._say(
            f"under load: {len(self._ledger.events):,} events and {len(self._ledger.uploads):,} uploads accepted"
            f"{faults}, {left_s:.0f} s left{f'; not ready: {unready[:160]}' if unready else ''}"
        )

    def _report(self, ended_early: str) -> AuditReport:
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
            counts=self._history.by_operation(),
            faults=dict(self._injector.done),
            of_processes=of,
            struck=dict(self._injector.struck),
            rests_s=tuple(self._rests_s),
            settled_s=self._settled_s,
            without=dict(self._injector.without),
            proofs=(*self._proofs, lives),
            ended_early=ended_early,
        )
