"""`songline audit`: proves on a system of its own that nothing is lost and nothing is counted twice."""

import asyncio
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import click
import msgspec
from azure.core.exceptions import AzureError

from songline.audit.audited_system import AuditedSystem
from songline.audit.exclusion import NotExcludedError, check_excluded, excluding, live_policy
from songline.audit.here import HereAudit
from songline.audit.history import OperationHistory
from songline.audit.plan import AuditConfig
from songline.audit.report import AuditReport, report_text
from songline.audit.run import INTERRUPTED, AuditRun
from songline.audit.small_disk import DiskUnavailableError, SmallDisk
from songline.cloud.settings import SettingError
from songline.commands.up import PORTS
from songline.options import FiniteRange
from songline.processes.environment import load
from songline.processors.runtime.service_errors import last_line
from songline.schemas.policy import ChartPolicy, policy_text
from songline.schemas.projections import DamagedVersionError
from songline.sending.exits import CommandError, ExitCode

T = TypeVar("T")

PROVEN, DISPROVEN = 0, 1


@click.command(
    epilog="Exit codes: 0 all proven; 1 disproven, or not all could be checked; 2 wrong usage; "
    "3 a service can't be reached; 130 interrupted."
)
@click.option("--chaos", is_flag=True, help="Kill and stop processes, cut connections, throttle, fill the disk.")
@click.option(
    "--minutes", type=FiniteRange(min=0.1, max=1_440), default=2.0, show_default=True, help="Time under load."
)
@click.option("--seed", type=click.IntRange(min=0), help="The same seed gives the same load and faults.")
@click.option("--rate", type=FiniteRange(min=1, max=5_000), default=40.0, show_default=True, help="Events a second.")
@click.option(
    "--recovery",
    "recovers_s",
    type=FiniteRange(min=10, max=3_600),
    default=150.0,
    show_default=True,
    help="Seconds that a process may take to be ready again; a slow machine needs more.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for report, figures and history.  [default: songline-audit-SEED]",
)
@click.option("--like-azure", is_flag=True, help="The system is that of `up --like-azure`: TLS, tokens, limits.")
@click.option("--here", is_flag=True, help="Audit the system that runs, with listeners of its own, who are erased.")
@click.option("--policy", "shows_policy", is_flag=True, help="With --here: print the policy that it needs, and end.")
@click.option("--keep", is_flag=True, help="Keep the data folder, also when all is proven.")
def command(
    chaos: bool,
    minutes: float,
    seed: int | None,
    rate: float,
    recovers_s: float,
    out: Path | None,
    like_azure: bool,
    here: bool,
    shows_policy: bool,
    keep: bool,
) -> None:
    """Prove on this machine that nothing accepted is lost, that nothing is counted twice, that the order of each
    listener's events is kept, and that health is never wrong.

    Starts a system on free ports with a data folder of its own; one that runs already is not touched. Sends simulated
    events with duplicates and delays, songs and bad records; with --chaos, disturbs the system all the while. Then
    compares every answer with a reference that uses none of the product's code.

    With --here the system that runs is audited beside all else that it does, and not disturbed. Its charts need a
    policy that excludes the audit's listeners, which --policy prints.

    \b
    songline audit --chaos --minutes 20
    songline audit --here --policy > audited.toml
    songline rebuild charts --policy audited.toml --switch
    songline audit --here
    """
    if here and (chaos or keep):
        raise click.UsageError("--here disturbs nothing, and has no data of its own: leave out --chaos and --keep.")
    if here and like_azure:
        raise click.UsageError("--here audits the system that runs, as it runs: leave out --like-azure.")
    if shows_policy and not here:
        raise click.UsageError("--policy is of --here.")
    if chaos and sys.platform != "linux":
        raise click.UsageError("--chaos needs Linux: it finds processes in /proc.")
    # The SDKs log each connection that is cut, which the history has too.
    logging.disable(logging.ERROR)
    number = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    config = AuditConfig(seed=number, minutes=minutes, is_chaotic=chaos, is_here=here, rate=rate, recovers_s=recovers_s)
    if here:
        environ = load(os.environ)
        policy = _live_policy(environ)
        if shows_policy:
            click.echo(policy_text(_checked(lambda: excluding(policy, config))), nl=False)
            return
        _checked(lambda: check_excluded(policy, config))
    results = Path(f"songline-audit-{number}") if out is None else out
    results.mkdir(parents=True, exist_ok=True)
    with (results / "history.jsonl").open("wb") as file:
        history = OperationHistory(file)
        if here:
            report, folder = asyncio.run(HereAudit(config, environ, history, _say).run()), None
        else:
            report, folder = _audited_apart(config, history, keep, flags=("--like-azure",) if like_azure else ())
    places = {
        "report": str(results / "report.txt"),
        "figures": str(results / "figures.json"),
        "history": str(results / "history.jsonl"),
        **({"data, logs": str(folder)} if folder is not None else {}),
    }
    text = report_text(report, places)
    (results / "report.txt").write_text(text, encoding="utf-8")
    (results / "figures.json").write_bytes(msgspec.json.format(msgspec.json.encode(report, enc_hook=repr)))
    click.echo(text)
    if report.ended_early == INTERRUPTED:
        raise SystemExit(int(ExitCode.INTERRUPTED))
    raise SystemExit(PROVEN if report.is_proven else DISPROVEN)


def _live_policy(environ: Mapping[str, str]) -> ChartPolicy:
    try:
        return asyncio.run(live_policy(environ))
    except (SettingError, DamagedVersionError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except AzureError as error:
        raise CommandError(f"Cosmos DB can't be read: {last_line(error)}", ExitCode.UNREACHABLE) from None


def _checked(check: Callable[[], T]) -> T:
    try:
        return check()
    except NotExcludedError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None


def _audited_apart(
    config: AuditConfig, history: OperationHistory, keep: bool, flags: Sequence[str]
) -> tuple[AuditReport, Path | None]:
    """Audit a system of its own, started with `flags`. Returns the report, and the folder of its data where that is
    kept."""
    folder = Path(tempfile.mkdtemp(prefix="songline-audit-"))
    try:
        report = _audit(config, folder, history, keep, flags)
    except BaseException:
        _say(f"the data is kept in {folder}")
        raise
    if keep or not report.is_proven:
        return report, folder
    shutil.rmtree(folder, ignore_errors=True)
    return report, None


def _audit(
    config: AuditConfig, folder: Path, history: OperationHistory, keep: bool, flags: Sequence[str]
) -> AuditReport:
    """Run the audit in `folder`; everything that it starts or mounts is gone afterwards. What was on a disk of its own
    is copied to `saved` where it is kept."""
    data = folder / "data"
    data.mkdir()
    disk = SmallDisk(data) if config.is_chaotic else None
    without = {}
    if disk is not None:
        try:
            disk.mount()
        except DiskUnavailableError as error:
            disk, without = None, {"full-disk": str(error)}
        else:
            # Azurite answers for itself: it does not come back from a full disk.
            (folder / "blobs").mkdir()
            (data / "blobs").symlink_to(folder / "blobs")
    try:
        system = AuditedSystem(folder, PORTS, flags)
        report = asyncio.run(AuditRun(config, system, disk, history, _say, without).run())
        if disk is not None and (keep or not report.is_proven):
            with suppress(OSError, shutil.Error):
                shutil.copytree(data, folder / "saved", symlinks=True)
        return report
    finally:
        if disk is not None:
            disk.unmount()


def _say(line: str) -> None:
    with suppress(OSError):
        click.echo(f"{time.strftime('%H:%M:%S')} {line}", err=True)
