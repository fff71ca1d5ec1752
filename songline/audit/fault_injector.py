"""Carries out faults on an audited system, and says when each began and ended."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx
import msgspec

from songline.audit.audited_system import AuditedSystem
from songline.audit.fault_rules import rules
from songline.audit.health_check import EVERYTHING, FaultSpan
from songline.audit.history import OperationHistory
from songline.audit.plan import PlannedFault
from songline.audit.small_disk import DiskUnavailableError, SmallDisk
from songline.processes.vitals import http_client
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

_reports: Decoder[list[dict[str, Any]]] = Decoder(list[dict[str, Any]], "not-an-answer")
CONTROL_S = 5.0


class FaultInjector:
    """`spans` are the faults so far, `done` counts them by kind, `of` by kind and process, and `struck` the requests
    that rules struck. `is_restarting`: `songline up` was killed, and is not up again. `without` are kinds that can't be
    made here, with the reason."""

    def __init__(
        self,
        system: AuditedSystem,
        history: OperationHistory,
        disk: SmallDisk | None,
        without: Mapping[str, str],
    ) -> None:
        self._system, self._history, self._disk = system, history, disk
        self._active: dict[int, list[dict[str, Any]]] = {}
        self._numbers = 0
        self._lock = asyncio.Lock()
        self._http = http_client(CONTROL_S)
        self.spans: list[FaultSpan] = []
        self.done: Counter[str] = Counter()
        self.of: Counter[tuple[str, str]] = Counter()
        self.struck: Counter[str] = Counter()
        self.is_disk_full = False
        self.is_restarting = False
        self.without: dict[str, str] = dict(without)

    async def inject(self, fault: PlannedFault) -> None:
        """Do it, hold it, and undo it. A process that is not there is left alone, and the fault doesn't count."""
        begin_s = time.time()
        match fault.kind:
            case "kill":
                is_done = await self._kill(fault)
            case "stop":
                is_done = await self._stop(fault)
            case "full-disk":
                is_done = await self._fill(fault)
            case _:
                is_done = await self._strike(fault)
        outcome = "done" if is_done else "not possible"
        self._history.record("fault", outcome, kind=fault.kind, target=fault.target, held_s=fault.hold_s)
        if is_done:
            self.done[fault.kind] += 1
            self.of[fault.kind, fault.target] += 1
            process = EVERYTHING if fault.target in ("localcloud", "azurite", "up") else fault.target
            self.spans.append(FaultSpan(fault.kind, process, begin_s, time.time()))

    async def heal(self) -> None:
        """End all spells."""
        async with self._lock:
            self._active.clear()
            await asyncio.to_thread(self._put)

    async def _kill(self, fault: PlannedFault) -> bool:
        if fault.target == "up" and self.is_restarting:
            return False
        self.is_restarting = self.is_restarting or fault.target == "up"
        pid = await asyncio.to_thread(self._system.signal, fault.target, signal.SIGKILL)
        if fault.target == "up":
            try:
                # Nobody else starts it again.
                await asyncio.to_thread(self._restart_up)
            finally:
                self.is_restarting = False
        return pid is not None

    def _restart_up(self) -> None:
        self._system.end()
        self._system.start()

    async def _stop(self, fault: PlannedFault) -> bool:
        pid = await asyncio.to_thread(self._system.signal, fault.target, signal.SIGSTOP)
        if pid is None:
            return False
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            await asyncio.to_thread(self._system.signal, fault.target, signal.SIGCONT)
        return True

    async def _fill(self, fault: PlannedFault) -> bool:
        if self._disk is None:
            return False
        try:
            await asyncio.to_thread(self._disk.fill)
        except DiskUnavailableError as error:
            self.without["full-disk"] = str(error)
            return False
        self.is_disk_full = True
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            await asyncio.to_thread(self._disk.make_room)
            self.is_disk_full = False
        return True

    async def _strike(self, fault: PlannedFault) -> bool:
        self._numbers += 1
        number = self._numbers
        async with self._lock:
            self._active[number] = rules(fault)
            is_put = await asyncio.to_thread(self._put)
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            async with self._lock:
                self._active.pop(number, None)
                await asyncio.to_thread(self._put)
        return is_put

    def _put(self) -> bool:
        """Give localcloud the rules of all spells, and count what the former ones struck."""
        url = f"{self._system.control}/faults"
        with suppress(httpx.HTTPError, PoisonError):
            for rule in _reports.decode(self._http.get(url).content):
                self.struck[str(rule["kind"])] += int(rule["fired"])
            active = [rule for some in self._active.values() for rule in some]
            answer = self._http.put(url, content=msgspec.json.encode(active))
            return answer.is_success
        return False
