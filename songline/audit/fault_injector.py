"""Carries out faults on an audited system, and says when each began and ended."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from songline.audit.audited_system import AuditedSystem, SystemStartError
from songline.audit.cloud_faults import CloudFaults
from songline.audit.fault_rules import rules
from songline.audit.health_check import EVERYTHING, FaultSpan
from songline.audit.history import OperationHistory
from songline.audit.plan import PlannedFault
from songline.audit.small_disk import DiskUnavailableError, SmallDisk

STARTS = 5
"""So often `songline up` is started again where it ends while it starts: a service manager does so too."""
THERE_S = 30.0
CLOUD_S = 30.0
"""A process that is to be struck, and localcloud which is to take rules, may be about to be started again: so long is
waited for them."""
AGAIN_S = 0.3


class FaultInjector:
    """`spans` are the faults so far, `done` counts them by kind, `of` by kind and process. `is_restarting`: `songline
    up` is gone, and is not up again. `without` are kinds that can't be made here, with the reason."""

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
        self._cloud = CloudFaults(system.control, system.data)
        self.spans: list[FaultSpan] = []
        self.done: Counter[str] = Counter()
        self.of: Counter[tuple[str, str]] = Counter()
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

    @property
    def struck(self) -> Mapping[str, int]:
        """The requests that rules struck, by kind."""
        return self._cloud.struck

    async def restart(self) -> None:
        """Start the system again, which has ended by itself. Raises SystemStartError."""
        begin_s = time.time()
        self.is_restarting = True
        try:
            await self._start_again()
        finally:
            self.is_restarting = False
        self.spans.append(FaultSpan("start", EVERYTHING, begin_s, time.time()))

    async def heal(self) -> None:
        """End all spells."""
        self._active.clear()
        await self._put(CLOUD_S)

    async def _kill(self, fault: PlannedFault) -> bool:
        if fault.target != "up":
            return await self._signal(fault.target, signal.SIGKILL)
        if self.is_restarting:
            return False
        self.is_restarting = True
        try:
            is_done = await self._signal("up", signal.SIGKILL)
            # Nobody else starts it again.
            await self._start_again()
        finally:
            self.is_restarting = False
        return is_done

    async def _stop(self, fault: PlannedFault) -> bool:
        if not await self._signal(fault.target, signal.SIGSTOP):
            return False
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            await asyncio.to_thread(self._system.signal, fault.target, signal.SIGCONT)
        return True

    async def _start_again(self) -> None:
        for left in reversed(range(STARTS)):
            try:
                await asyncio.to_thread(self._system.restart)
            except SystemStartError as error:
                # Other faults go on, and one that strikes while it starts may end it.
                self._history.record("supervisor", "did not start", said=str(error))
                if not left:
                    raise
            else:
                return

    async def _signal(self, target: str, number: signal.Signals) -> bool:
        """Send a signal to a process; wait a while for one that is about to be started again."""
        return await self._within_s(THERE_S, lambda: self._system.signal(target, number) is not None)

    async def _within_s(self, patience_s: float, act: Callable[[], bool]) -> bool:
        end_s = time.monotonic() + patience_s
        while not await asyncio.to_thread(act):
            if time.monotonic() > end_s:
                return False
            await asyncio.sleep(AGAIN_S)
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
        self._active[number] = rules(fault)
        try:
            if not await self._put(CLOUD_S):
                return False
            await asyncio.sleep(fault.hold_s)
        finally:
            self._active.pop(number, None)
            await self._put(0)
        return True

    async def _put(self, patience_s: float) -> bool:
        """Give localcloud the rules of all spells; wait a while for it where it is about to be started again."""

        def put() -> bool:
            return self._cloud.put([rule for some in list(self._active.values()) for rule in some])

        async with self._lock:
            return await self._within_s(patience_s, put)
