"""`python -m bench.system`: the whole system under load: how fresh it is, what it uses, how it comes back.

One run is rows 1, 8, 13 and the soak, 16: `songline up`, simulated listeners in a process of their own, and this
process, which asks as an app would. `make bench ARGS=system` is half an hour at 5,000 events/s in which hubs keep
events for ten minutes, then the kills. A short one for development, which keeps nothing:

    python -m bench.system --minutes 2 --rate 200 --kills 1
    python -m bench.system --minutes 8 --rate 200 --retention 2 --kills 0
    python -m bench.system --minutes 5 --listeners 900000 --pacing real --kills 0
"""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click
import numpy as np
from msgspec import Struct

from bench import report
from bench.freshness_probes import ApiProbes, ChartAges, api_client, running
from bench.measurement import Measurement
from bench.recovery import FRESH_S, Owners, Recovery, charts_are_fresh, prober_is_fresh, recover
from bench.running_system import ProcessUse, RunningSystem, UsageSampler
from bench.use_over_time import DiskSampler, DiskUse, disk_rows, file_rows
from songline.cloud import eventhubs
from songline.cloud.settings import CloudSettings
from songline.producers.publishing.publisher import EventPublisher
from songline.schemas.channels import MUSIC_EVENTS

REGION = (
    "Inside: `songline up` (localcloud with Azurite, the four workers, the API, the supervisor) and the simulator; for "
    "freshness, from the hub's acknowledgement of a like to the answer of `GET /v1/users/{id}/library` that has it, "
    "asked every 50 ms, or every twentieth of its age; and of the charts how old the first event is that the chart "
    "leaves out, by when the hub took it. What the probes cost the API and localcloud is inside. Outside: this "
    "process, which probes, and the first minute (a tenth of a short run). A recovery begins with SIGKILL and ends "
    "when something sent since is answered as fresh as ever; starting the process again is inside. "
    "Memory: the median of the last tenth beside that of the minute after minute 5; in a run of less than seven and a "
    "half minutes, beside that of the first quarter's end, of which nothing is wanted: the library's cache of nodes "
    "grows up to its bound. Files: the median of open descriptors of the last tenth less that after minute 5. "
    "Disk: what the data folder takes, by the line through its samples after minute 5; of hubs whose retention is set, "
    "the median of the last tenth beside that of the time in which the first segments were deleted, which says of "
    "music-events whether it is level: what trending writes to the other hubs takes more while its lists fill, and at "
    "each hour. That these delete what is past its retention is measured by the age of what they keep."
)

SETTLED_S = 300.0
"""After so long no process's memory grows: its caches are full, or nearly so."""


class Load(Struct, frozen=True):
    """What the system is given: by `pacing` real the number of listeners sets the rate."""

    minutes: float = 20.0
    rate: float = 5_000.0
    listeners: int = 20_000
    pacing: str = "rate"
    kills: int = 3
    retention: float | None = None
    """Minutes for which hubs keep events; None: as they are declared."""

    @property
    def retention_s(self) -> int | None:
        return None if self.retention is None else round(self.retention * 60)

    @property
    def options(self) -> list[str]:
        rate = ["--rate", f"{self.rate:g}"] if self.pacing == "rate" else []
        return [*rate, "--listeners", str(self.listeners), "--pacing", self.pacing]

    @property
    def words(self) -> str:
        pace = f"{self.rate:,.0f} events/s" if self.pacing == "rate" else "an event every three minutes each"
        return f"{self.listeners:,} listeners, {pace}"


class Seen(Struct):
    """What a run has seen."""

    library_s: list[float]
    chart_s: list[float]
    events_per_s: float
    cores: float
    asks_per_s: float
    use: dict[str, ProcessUse]
    disk: DiskUse
    api_unprobed_s: float
    """CPU seconds that the API uses in as long a time while it is not probed, as far as the first minute tells."""
    recoveries: list[Recovery]


def measure(quick: bool) -> list[Measurement]:
    load = Load(minutes=0.5, rate=100, kills=0, retention=1) if quick else Load(minutes=30.0, retention=10)
    return rows(load, run(load))


def run(load: Load) -> Seen:
    """The system under this load, then the kills at the same load. What the load showed is printed before the kills."""
    with tempfile.TemporaryDirectory() as name, RunningSystem(Path(name), load.retention_s) as system:
        return asyncio.run(_watch(system, load))


async def _watch(system: RunningSystem, load: Load) -> Seen:
    settings = CloudSettings.read(system.environment)
    async with _closed_in_time() as stack:
        client = await stack.enter_async_context(api_client(system.api, system.environment))
        publisher = await stack.enter_async_context(EventPublisher(settings.eventhubs))
        hub = await stack.enter_async_context(eventhubs.producer(settings.eventhubs, MUSIC_EVENTS))
        system.simulate(*load.options)
        probes = ApiProbes(client, publisher, secrets.token_hex(4))
        charts, library = ChartAges(client, hub, 1.0), probes.library(1.0, 120.0)
        whole_s = load.minutes * 60
        settling_s = min(60.0, whole_s / 10)
        with UsageSampler(system) as sampler:
            await asyncio.sleep(settling_s)
            api_unprobed_s = sampler.use()["api"].cpu_s * whole_s / settling_s
        with UsageSampler(system) as sampler, DiskSampler(system.data) as disk:
            async with running(charts.run()):
                probing = asyncio.create_task(library.run())
                await asyncio.sleep(whole_s)
                cores, use, asks_per_s = sampler.cores(), sampler.use(), library.asked / whole_s
                disk.sample()
                ages, events_per_s = [age for _, age in charts.ages], _rate(charts.counted)
                library.end()
                await probing
        seen = Seen(
            library_s=[one.took_s for one in library.sightings],
            chart_s=ages,
            events_per_s=events_per_s,
            cores=cores,
            asks_per_s=asks_per_s,
            use=use,
            disk=disk.use,
            api_unprobed_s=api_unprobed_s,
            recoveries=[],
        )
        if load.kills:
            print("\n".join(report.line(one) for one in rows(load, seen)), flush=True)
            seen.recoveries = await _kill(system, settings, probes, charts, load.kills)
    return seen


@asynccontextmanager
async def _closed_in_time() -> AsyncIterator[AsyncExitStack]:
    """What is entered is left at the end, for a minute at most: a client that does not close keeps no result back."""
    stack = AsyncExitStack()
    try:
        yield stack
    finally:
        try:
            await asyncio.wait_for(stack.aclose(), 60)
        except TimeoutError:
            print("  the clients did not close within a minute", flush=True)


async def _kill(
    system: RunningSystem, settings: CloudSettings, probes: ApiProbes, charts: ChartAges, kills: int
) -> list[Recovery]:
    found = []
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Owners.checkpoint_store(system.environment))
        admin = Owners.admin(settings)
        await admin.start()
        stack.push_async_callback(admin.close)
        owners = Owners(settings, store, admin)
        async with running(charts.run()):
            for worker in sorted(FRESH_S) * kills:
                found.append(await _recovery(system, worker, probes, charts, owners))
                print(f"  {found[-1]}", flush=True)
                # It is to be killed at rest, not while it makes up for the last time.
                await asyncio.sleep(10)
    return found


async def _recovery(
    system: RunningSystem, worker: str, probes: ApiProbes, charts: ChartAges, owners: Owners
) -> Recovery:
    within_s = FRESH_S[worker]
    if worker == "trending":
        return await recover(system, worker, charts_are_fresh(charts, within_s), owners.of(worker))
    make = {"library": probes.library, "catalog": probes.catalog, "ingestion": probes.ingestion}[worker]
    # A probe that was not seen within that time says nothing any more.
    prober = make(0.5, within_s)
    async with running(prober.run()):
        return await recover(system, worker, prober_is_fresh(prober, within_s), owners.of(worker))


def rows(load: Load, seen: Seen) -> list[Measurement]:
    """The measurements of a run. Raises AssertionError if too little was seen to say anything."""
    assert len(seen.library_s) >= load.minutes * 20, f"{len(seen.library_s)} probes of the library were answered"
    assert len(seen.chart_s) >= load.minutes * 20, f"{len(seen.chart_s)} charts were answered"
    p99 = "<= 3" if load.pacing == "rate" else "<= 5"
    found = [
        Measurement(
            row=1, what=f"{load.words}: events counted by the charts", figure=seen.events_per_s, unit="events/s"
        ),
        _seconds(1, f"{load.words}: library, p50", seen.library_s, 50, "<= 1.5" if load.pacing == "rate" else ""),
        _seconds(1, f"{load.words}: library, p99", seen.library_s, 99, p99),
        Measurement(
            row=1, what=f"{load.words}: CPU of all processes", figure=seen.cores, unit="cores", wanted="<= 1.7"
        ),
        *(
            Measurement(
                row=1, what=f"{load.words}: CPU of {name}", figure=use.cpu_s / (load.minutes * 60), unit="cores"
            )
            for name, use in sorted(seen.use.items())
        ),
        Measurement(
            row=1,
            what=f"{load.words}: CPU of api while it is not probed",
            figure=seen.api_unprobed_s / (load.minutes * 60),
            unit="cores",
        ),
        Measurement(row=1, what=f"{load.words}: how often the probes ask", figure=seen.asks_per_s, unit="requests/s"),
        *(_seconds(8, f"{load.words}: charts, p{p}", seen.chart_s, p, "<= 2" if p == 99 else "") for p in (50, 90, 99)),
        *(_growth(load, name, use, seen.events_per_s) for name, use in sorted(seen.use.items())),
        *file_rows(load.words, seen.use, SETTLED_S),
        *disk_rows(load.words, seen.disk, seen.events_per_s, SETTLED_S, load.retention_s),
    ]
    for worker in sorted({one.worker for one in seen.recoveries}):
        took = [one for one in seen.recoveries if one.worker == worker]
        found.append(
            _seconds(
                13, f"{worker}: SIGKILL to fresh, longest of {len(took)}", [one.fresh_s for one in took], 100, "<= 25"
            )
        )
        after = [one.after_owned_s for one in took if one.after_owned_s is not None]
        if after:
            found.append(_seconds(13, f"{worker}: of it after its partitions are owned", after, 100, "<= 5"))
    return found


def _growth(load: Load, name: str, use: ProcessUse, events_per_s: float) -> Measurement:
    """By how much of itself a process grew; of trending, which remembers actions, by how many bytes an event.

    A run that is over before processes have settled says how they fill their caches, and nothing is wanted of that.
    """
    last = use.rss[-1][0]
    has_settled = last > 1.5 * SETTLED_S
    begin = SETTLED_S if has_settled else last / 4
    settled = np.median([held for at, held in use.rss if begin <= at <= begin + max(60.0, last / 10)])
    ended = np.median([held for at, held in use.rss if at >= last * 0.9])
    grew = f"{load.words}: {name} grew{'' if has_settled else ' while it filled its caches'}"
    what = f"{grew} ({ended / 2**20:.0f} MiB at the end)"
    if name == "trending":
        grown = (ended - settled) / max(1.0, events_per_s * (last * 0.95 - begin))
        return Measurement(row=8, what=what, figure=float(grown), unit="bytes an event", wanted="<= 64")
    wanted = "<= 5" if has_settled else ""
    return Measurement(row=8, what=what, figure=float(100 * (ended / settled - 1)), unit="%", wanted=wanted)


def _seconds(row: int, what: str, values: Sequence[float], percentile: int, wanted: str) -> Measurement:
    return Measurement(
        row=row, what=what, figure=float(np.percentile(values, percentile, method="higher")), unit="s", wanted=wanted
    )


def _rate(counted: list[tuple[float, int]]) -> float:
    (begun, before), (ended, after) = counted[0], counted[-1]
    return (after - before) / max(ended - begun, 1e-3)


@click.command()
@click.option("--minutes", default=20.0, show_default=True, help="How long it is watched, the kills not included.")
@click.option("--rate", default=5_000.0, show_default=True, help="Events a second.")
@click.option("--listeners", default=20_000, show_default=True, help="Simulated listeners.")
@click.option("--pacing", type=click.Choice(["rate", "real"]), default="rate", show_default=True)
@click.option("--kills", default=3, show_default=True, help="How often each worker is killed after that.")
@click.option("--retention", type=float, help="Minutes for which hubs keep events, in place of what is declared.")
def main(**load: float | int | str | None) -> None:
    """Watch the whole system under a load, print what was seen, and keep nothing."""
    asked = Load(**load)  # type: ignore[arg-type]
    for one in rows(asked, run(asked)):
        print(report.line(one))


if __name__ == "__main__":
    main()
