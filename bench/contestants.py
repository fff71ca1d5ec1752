"""The library workers that are measured: today's, and that of the baseline, each as a process of its own."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from azure.cosmos.aio import ContainerProxy
from msgspec import Struct

from bench.acts import encode_v1
from bench.baseline import ROOT, Checkout
from bench.charged import JOURNAL, Tally, command
from bench.machine import cpu_s
from songline.audit.library_reference import libraries
from songline.cloud import blobs, cosmos
from songline.cloud.settings import read_blobs, read_cosmos
from songline.processes.entities import CONTAINERS
from songline.processors.runtime.projection_config import DATA
from songline.schemas.channels import BLOB_CONTAINERS, DATABASE, LIBRARY_SHELVES
from songline.schemas.envelope import Event, encode
from songline.schemas.progress import PROGRESS
from tests.support.library import libraries_on
from tests.support.localcloud import LocalCloud
from tests.support.worker import read_hub, told_apart

CONFIG = {"SONGLINE_LIBRARY_LOOK": "0.5", "SONGLINE_LIBRARY_BALANCE": "1", "SONGLINE_LIBRARY_EXPIRE": "10"}
"""Partitions are shared out soon, so that little of a measurement is waiting. All that costs anything is as it is by
default."""

DEADLINE_S, AN_EVENT_S = 900.0, 500e-6
POLL_S = 0.05

# Run under the baseline's Python, with its modules.
_PREPARE = """
import asyncio, os
from songline.commands.up import _ensure
asyncio.run(_ensure(os.environ))
"""
_CHECK = """
import asyncio, os
from cloud import cosmos
from cloud.settings import Settings, read_cosmos
from schemas.channels import DATABASE, LIBRARY
from schemas.envelope import decode
from schemas.progress import PROGRESS
from tests.support.library_reference import libraries, stored
from tests.support.worker import read_hub

async def main():
    settings = Settings.read(os.environ)
    log = [(partition, position, decode(body)) for partition, position, body in await read_hub(settings)]
    async with cosmos.client(settings.cosmos) as client:
        query = cosmos.container(client, DATABASE, LIBRARY).query_items("SELECT * FROM c", max_item_count=1000)
        found = stored([item async for item in query if item["id"] != PROGRESS])
    wanted = libraries(log)
    wrong = [user for user in wanted.keys() | found.keys() if wanted.get(user) != found.get(user)]
    assert not wrong, (len(wrong), len(wanted), wrong[:3])

asyncio.run(main())
"""


class Contestant(Protocol):
    """A library worker of some version, and what is its own: how it is run, its containers, its libraries."""

    @property
    def name(self) -> str:
        """What it is called in results."""

    @property
    def container(self) -> str:
        """The container with its `@progress`."""

    def run(self, cloud: LocalCloud, tally: Path, config: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start the worker, with its charges counted into `tally`."""

    def to_bytes(self, event: Event) -> bytes:
        """The event in the newest version that it reads."""

    def prepare(self, cloud: LocalCloud) -> None:
        """Create the containers that it needs."""

    def check(self, cloud: LocalCloud) -> None:
        """Raise if a library is not what the reference makes of the log."""


class Today(Struct, frozen=True):
    """The library worker of this working tree."""

    name: str = "today"
    container: str = LIBRARY_SHELVES

    def run(self, cloud: LocalCloud, tally: Path, config: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        module = "songline.processors.library"
        return _start(sys.executable, ROOT, {**cloud.environment, **config}, tally, module)

    def to_bytes(self, event: Event) -> bytes:
        return encode(event)

    def prepare(self, cloud: LocalCloud) -> None:
        asyncio.run(_ensure(cloud.environment))

    def check(self, cloud: LocalCloud) -> None:
        asyncio.run(_check(cloud))


class Baseline(Struct, frozen=True):
    """The library worker of the baseline, over the same localcloud."""

    checkout: Checkout
    container: str = "library"

    @property
    def name(self) -> str:
        return self.checkout.name

    def run(self, cloud: LocalCloud, tally: Path, config: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        folder, python = self.checkout.folder, str(self.checkout.python)
        return _start(python, folder, {**cloud.environment, **config}, tally, "processors.library")

    def to_bytes(self, event: Event) -> bytes:
        return encode_v1(event)

    def prepare(self, cloud: LocalCloud) -> None:
        self._script(cloud, _PREPARE)

    def check(self, cloud: LocalCloud) -> None:
        self._script(cloud, _CHECK)

    def _script(self, cloud: LocalCloud, text: str) -> None:
        ran = subprocess.run(
            [self.checkout.python, "-c", text],
            cwd=self.checkout.folder,
            env=cloud.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-3_000:]


class LogRun(Struct, frozen=True):
    """What a worker and its localcloud used for `events` events of a log."""

    events: int
    seconds: float
    cpu_s: float
    server_cpu_s: float


class RunningWorker:
    """A worker of a contestant on a localcloud, until the end of the block: how far it is, what it has used."""

    def __init__(
        self,
        contestant: Contestant,
        cloud: LocalCloud,
        folder: Path,
        name: str = "worker",
        journal: Path | None = None,
    ) -> None:
        self._contestant, self._cloud = contestant, cloud
        self._tally = folder / f"{contestant.name}-{name}.tally"
        self._tally.unlink(missing_ok=True)
        noted = {} if journal is None else {JOURNAL: str(journal)}
        self._started, self._served = time.monotonic(), cpu_s(cloud.pid)
        # As by `songline up`: who follows one that was killed knows that it is gone, and need not wait for its claims.
        self._process = contestant.run(cloud, self._tally, {**CONFIG, **noted, DATA: str(folder)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def tally(self) -> Tally:
        return Tally.read(self._tally)

    def cpu_s(self) -> float:
        return cpu_s(self._process.pid)

    def end(self, number: signal.Signals) -> None:
        """Send the signal, and wait for the end."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    async def run_through(self, events: int) -> LogRun:
        """What applying a log of so many events takes, from when the worker says for the first time how far it is.

        Of a worker that has applied all by then, as it does with a few thousand, its start counts too. Raises as
        `wait_until_applied` does.
        """
        first, begun, used, served = 0, self._started, 0.0, self._served
        applied = await self.wait_until_applied(1)
        if applied < events:
            first, begun, used, served = applied, time.monotonic(), self.cpu_s(), cpu_s(self._cloud.pid)
            await self.wait_until_applied(events)
        served = cpu_s(self._cloud.pid) - served
        return LogRun(events - first, time.monotonic() - begun, self.cpu_s() - used, served)

    async def wait_until_applied(self, events: int) -> int:
        """Wait until so many events of the hub are applied; how many are then.

        Raises RuntimeError if the worker has ended, TimeoutError after DEADLINE_S, or AN_EVENT_S for each event.
        """
        deadline_s = max(DEADLINE_S, events * AN_EVENT_S)
        async with asyncio.timeout(deadline_s), cosmos.client(read_cosmos(self._cloud.environment)) as client:
            container = cosmos.container(client, DATABASE, self._contestant.container)
            while True:
                applied = await _applied(container)
                if applied >= events:
                    return applied
                if self._process.poll() is not None:
                    raise RuntimeError(f"the worker of {self._contestant.name} ended with {self._process.returncode}")
                await asyncio.sleep(POLL_S)


def _start(
    python: str, folder: Path, environment: Mapping[str, str], tally: Path, module: str
) -> "subprocess.Popen[bytes]":
    with tally.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            command(python, tally, module), cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )


async def _applied(container: ContainerProxy) -> int:
    query = container.query_items("SELECT * FROM c", partition_key=PROGRESS)
    return sum([one["position"] + 1 async for document in query for one in document["partitions"].values()])


async def _ensure(environment: Mapping[str, str]) -> None:
    async with (
        cosmos.client(read_cosmos(environment)) as client,
        blobs.client(read_blobs(environment)) as storage,
    ):
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        await blobs.ensure(storage, BLOB_CONTAINERS)


async def _check(cloud: LocalCloud) -> None:
    log, bad = told_apart(await read_hub(cloud.settings()))
    assert not bad, bad[:3]
    wanted = libraries(log)
    async with libraries_on(cloud) as found_in:
        found = await found_in.all()
    wrong = [user for user in wanted.keys() | found.keys() if wanted.get(user) != found.get(user)]
    assert not wrong, (len(wrong), len(wanted), wrong[:3])
