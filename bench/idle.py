"""CPU of all processes at 50 events/s, as `songline up` runs by default, and with nobody listening."""

import tempfile
import time
from pathlib import Path

from bench.measurement import Measurement
from bench.running_system import RunningSystem, UsageSampler

REGION = (
    "Inside: all processes of `songline up` with its simulator, from a minute after the start (ten seconds of a short "
    "run) on. Outside: starting, and this process, which only samples."
)

RATE = 50


def measure(quick: bool) -> list[Measurement]:
    settle_s, watched_s = (10.0, 15.0) if quick else (60.0, 180.0)
    found = []
    with tempfile.TemporaryDirectory() as name, RunningSystem(Path(name)) as system:
        for what, wanted in (("nobody listens", ""), (f"at {RATE} events/s", "<= 25")):
            time.sleep(settle_s)
            with UsageSampler(system) as sampler:
                time.sleep(watched_s)
            found.append(
                Measurement(
                    row=9,
                    what=f"all processes, {what}",
                    figure=100 * sampler.cores(),
                    unit="% of a core",
                    wanted=wanted,
                )
            )
            for process, use in sorted(sampler.use().items()):
                share = 100 * use.cpu_s / watched_s
                found.append(Measurement(row=9, what=f"{process}, {what}", figure=share, unit="% of a core"))
            system.simulate("--rate", str(RATE))
    return found
