"""`python -m bench [NAME…]`: speeds, each beside what it is compared with, in one run."""

import platform
import signal
import sys
import traceback
from datetime import UTC, datetime
from importlib import import_module
from types import ModuleType

import click

from bench import report
from bench.benches import BENCHES, names_of
from bench.machine import additions_ms, machine, versions
from bench.measurement import BenchRun, Measurement, keep_run

ROWS = sorted({row for bench in BENCHES.values() for row in bench.rows})


@click.command(epilog="CHOSEN: " + "; ".join(f"{name}, {BENCHES[name].what}" for name in BENCHES))
@click.argument("chosen", nargs=-1, type=click.Choice([*BENCHES, *map(str, ROWS)]))
@click.option("--quick", is_flag=True, help="Small and short, to see that it works; nothing is kept.")
@click.option("--docs", is_flag=True, help="Write docs/performance.md from the kept results, and measure nothing.")
def main(chosen: tuple[str, ...], quick: bool, docs: bool) -> None:
    """Run the benchmarks of these names or rows of docs/performance.md, or all of them, and write that page.

    Leave the machine alone meanwhile.
    """
    # What it has started ends with it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    failed: list[str] = []
    if not docs:
        print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine()}, Python {platform.python_version()}")
        failed = [name for name in names_of(chosen) if not _run_safely(name, quick)]
    if not quick:
        report.write()
    if failed:
        raise click.ClickException(f"these failed: {', '.join(failed)}")


def _run_safely(name: str, quick: bool) -> bool:
    """Whether the benchmark came to its end. One that fails does not keep the others from running for hours."""
    try:
        _run(name, quick)
    except Exception:  # noqa: BLE001  # whatever it is, the others go on
        traceback.print_exc()
        return False
    return True


def _run(name: str, quick: bool) -> None:
    print(f"\n== {name}: {BENCHES[name].what}", flush=True)
    module = import_module(f"bench.{name}")
    if not hasattr(module, "measure"):
        module.main()
        return
    before_ms = additions_ms()
    measurements = _measure(module, quick)
    pace = f"a million additions in Python in {before_ms:.0f} ms before the run, {additions_ms():.0f} behind it"
    print("\n".join(report.line(one) for one in measurements), pace, sep="\n", flush=True)
    if not quick:
        at = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        keep_run(
            BenchRun(
                bench=name,
                at=at,
                machine=f"{machine()}, {pace}",
                versions=versions(),
                region=module.REGION,
                measurements=measurements,
            )
        )


def _measure(module: ModuleType, quick: bool) -> list[Measurement]:
    measurements: list[Measurement] = module.measure(quick)
    return measurements


if __name__ == "__main__":
    main()
