"""`songline up` on free ports and a data folder of its own, with simulated listeners, and what its processes use."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Self

from msgspec import Struct

from bench.declared_retention import declared_with
from bench.machine import cpu_s, open_files, rss_bytes
from songline.audit.audited_system import AZURITE, MARKS, commands_of
from songline.commands.up import DECLARED, PORTS
from songline.processes.environment import DATA, load
from tests.support.waiting import wait_for

START_S = 120.0

BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""What a system is started with, as by `make`: an installed one is compiled, and no process begins with that."""

_MODULES = {"\0songline\0simulate\0": "simulator", **MARKS, "node": AZURITE}


class ProcessUse(Struct):
    """CPU seconds of a process since the first sample, its resident bytes and its open files at each sample's moment
    (seconds since the first sample)."""

    cpu_s: float
    rss: list[tuple[float, int]]
    files: list[tuple[float, int]]


class RunningSystem:
    """The system, until the end of the block; it starts no simulated listeners by itself.

    `retention_s`: how long hubs that are not compacted keep events, in place of what is declared.
    """

    def __init__(self, folder: Path, retention_s: int | None = None) -> None:
        self.data = folder / "data"
        self._settings = {} if retention_s is None else {DECLARED: str(declared_with(folder / "declared", retention_s))}
        self._said = (folder / "up.log").open("w+")
        self._simulators: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        options = [f"{option}=0" for option in PORTS]
        self._up = subprocess.Popen(
            [sys.executable, "-m", "songline", "up", "--data", str(self.data), "--no-simulator", *options],
            stdout=self._said,
            stderr=subprocess.STDOUT,
            env={**os.environ, DATA: str(self.data), **self._settings, **BYTECODE},
        )
        wait_for(lambda: "Songline is up" in self.said or self._up.poll() is not None, "`songline up`", START_S)
        found = re.search(r"the API +(\S+)/docs", self.said)
        if found is None:
            raise RuntimeError(self.said)
        self.api = found[1]
        self.environment = load({**os.environ, DATA: str(self.data)})
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._simulators, self._up):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._said.close()

    @property
    def said(self) -> str:
        return Path(self._said.name).read_text()

    def simulate(self, *options: str) -> None:
        """Start simulated listeners in a process of their own."""
        with (self.data / "logs" / "simulator.log").open("ab") as log:
            self._simulators.append(
                subprocess.Popen(
                    [sys.executable, "-m", "songline", "simulate", *options],
                    stdout=log,
                    stderr=log,
                    env=self.environment,
                )
            )

    def processes(self) -> dict[int, str]:
        """The name of each process of the system by its id."""
        return {pid: _name(command) for pid, command in commands_of(self.data)}

    def kill(self, name: str) -> None:
        """SIGKILL to the process of this name; raises LookupError while there is none."""
        for pid, found in self.processes().items():
            if found == name:
                os.kill(pid, signal.SIGKILL)
                return
        raise LookupError(f"no process runs {name}")


class UsageSampler:
    """Samples CPU and memory of a system's processes every `period_s`, in a thread, until the end of the block.

    A process that was started again goes on under its name; what it used between the last sample and its end is missed.
    """

    def __init__(self, system: RunningSystem, period_s: float = 2.0) -> None:
        self._system, self._period_s = system, period_s
        self._cpu: dict[int, float] = {}
        self._used: defaultdict[str, float] = defaultdict(float)
        self._rss: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        self._files: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample_on)

    def __enter__(self) -> Self:
        self.began = time.monotonic()
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def use(self) -> dict[str, ProcessUse]:
        """What each process has used so far, by name."""
        return {
            name: ProcessUse(self._used[name], list(samples), list(self._files[name]))
            for name, samples in list(self._rss.items())
        }

    def cores(self) -> float:
        """The CPU of all processes together since the beginning, in cores."""
        return sum(list(self._used.values())) / (time.monotonic() - self.began)

    def _sample_on(self) -> None:
        while not self._ended.wait(self._period_s):
            self._sample()

    def _sample(self) -> None:
        at = time.monotonic() - self.began
        rss: defaultdict[str, int] = defaultdict(int)
        files: defaultdict[str, int] = defaultdict(int)
        for pid, name in self._system.processes().items():
            try:
                used, held, opened = cpu_s(pid), rss_bytes(pid), open_files(pid)
            except OSError:
                continue
            # What it used before the first sample is not of the measurement. What started later is, from its start.
            self._used[name] += used - self._cpu.get(pid, used if at < self._period_s else 0.0)
            self._cpu[pid] = used
            rss[name] += held
            files[name] += opened
        for name, held in rss.items():
            self._files[name].append((at, files[name]))
            self._rss[name].append((at, held))


def _name(command: str) -> str:
    return next((name for mark, name in _MODULES.items() if mark in command), "other")
