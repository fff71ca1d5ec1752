"""`songline rebuild`: builds a projection's next version from the archive and the hub."""

import gc
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from songline.commands.policy import read_policy as read_policy_file
from songline.options import AskedMoment
from songline.processes.environment import load
from songline.processors.history.archive.history import SkippedReport
from songline.processors.history.archive.opening import open_history, read_archive
from songline.processors.history.archive.spans import SpannedHistory, check_moment, first_second, read_spans
from songline.processors.history.charts.rebuilding import SETTLED_S
from songline.processors.history.rebuild.catching_up import switch_once_near
from songline.processors.history.rebuild.missing import MissingEvents
from songline.processors.history.rebuild.progress import RebuildCount
from songline.processors.history.rebuild.rebuild import RebuildOptions, RebuildServices, run_rebuild
from songline.processors.history.rebuild.registry import ChosenRebuild, choose_rebuild
from songline.processors.history.versions.opening import VersionServices
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.history.versions.switching import VersionBehindError, VersionSwitch
from songline.schemas.channels import CHARTS, PLAYS
from songline.schemas.projections import VersionDocument
from songline.versioning import EXIT_CODES, PROJECTION, run_with_versions

GC_THRESHOLD = 200_000


@click.command(context_settings={"show_default": True}, epilog=EXIT_CODES)
@PROJECTION
@click.option("--until", type=AskedMoment(), help="Only events that the hub had taken by this time.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of charts: the rules, a file as of `songline policy`. Those of the live version by default.",
)
@click.option("--switch", "switches", is_flag=True, help="Make the version live once it is built.")
@click.option("--drop-former", is_flag=True, help="With --switch: drop the version that was live before.")
@click.option("--skip", is_flag=True, help="Pass over what is missing or damaged in the archive, and count it.")
def command(
    projection: str, until: datetime | None, policy_file: Path | None, switches: bool, drop_former: bool, skip: bool
) -> None:
    """Build the next version of PROJECTION beside the live one, from the archive and then the hub's tail.

    It is saved as it goes: stopped or killed, the same command goes on where it was. The live version is not touched
    before a switch.
    """
    if drop_former and not switches:
        raise click.UsageError("--drop-former needs --switch: the live version is never dropped.")
    if until is not None and int(until.timestamp()) + 1 + SETTLED_S > datetime.now(UTC).timestamp():
        raise click.UsageError(
            f"--until {until.isoformat()} is not over yet: its second is inside, and what the hub takes in it may be "
            f"read {SETTLED_S} s later. Repeat the command then, or leave --until out."
        )
    if policy_file is not None and projection != CHARTS:
        of_plays = ""
        if projection == PLAYS:
            of_plays = (
                ": songs' plays are counted by the rules of the live charts. Rebuild charts under the policy, switch "
                "to them, then rebuild plays"
            )
        raise click.UsageError(f"--policy is of charts, not of {projection}{of_plays}.")
    policy = None if policy_file is None else read_policy_file(policy_file)

    async def work(services: VersionServices) -> None:
        making = await choose_rebuild(services.account, load(os.environ), projection, policy)
        done = await _rebuild(services, making, until, skip=skip)
        _say(_summary(done))
        if not switches:
            _say(f"To make it live: songline projection switch {projection} {done.version}")
            return
        switched = await _switch(services, making, done, skip=skip)
        _say(f"version {done.version} of {projection} is live")
        if drop_former and switched.before is not None:
            await services.switcher(VERSIONED[projection]).drop(switched.before)
            _say(f"version {switched.before} of {projection} is dropped")

    # A fold makes millions of short-lived objects, for which the collector would run without finding anything.
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    run_with_versions(work)


async def _rebuild(
    services: VersionServices, making: ChosenRebuild, until: datetime | None, *, skip: bool
) -> VersionDocument:
    environ = load(os.environ)
    async with open_history(environ, skip=skip) as history:
        if await history.files.list() is None:
            _say(f"there is no container {read_archive(environ).container}: only what the hub still has is folded")
        await _check_begin(SpannedHistory(history), making.projection.name, until)
        switcher = services.switcher(VERSIONED[making.projection.name])
        said: list[str] = []

        def show(version: VersionDocument, count: RebuildCount, passed_s: float) -> None:
            _show_skipped(history.skipped, said)
            _show(version, count, passed_s)

        return await run_rebuild(
            making.projection,
            RebuildServices(
                open_account=services.open_account,
                store=services.store,
                history=history,
                hub=services.hub,
                now=services.now,
            ),
            RebuildOptions(until=until, policy=making.policy),
            show,
            lambda version: switcher.watermarks(version.version),
        )


async def _check_begin(history: SpannedHistory, projection: str, until: datetime | None) -> None:
    """Raise NoHistoryError or MomentError before a version is begun that would have nothing in it."""
    if until is not None or projection in (CHARTS, PLAYS):
        first_s = await first_second(history, await read_spans(history))
        check_moment(first_s if until is None else int(until.timestamp() // 1), first_s)


async def _switch(
    services: VersionServices, making: ChosenRebuild, done: VersionDocument, *, skip: bool
) -> VersionSwitch:
    name = making.projection.name

    async def switch() -> VersionSwitch:
        return await services.switcher(VERSIONED[name]).switch(done.version, force=False)

    async def build_on(error: VersionBehindError) -> None:
        _say(f"version {done.version} of {name} is not near enough to be live, and is built on: {error.behind}")
        await _rebuild(services, making, None, skip=skip)

    if done.until is not None:
        # Nothing is added to it.
        return await switch()
    return await switch_once_near(switch, build_on)


def _show(version: VersionDocument, count: RebuildCount, passed_s: float) -> None:
    line = count.line(passed_s, version.events - count.events)
    _say(f"version {version.version} of {version.projection}: {line}")


def _show_skipped(skipped: SkippedReport, said: list[str]) -> None:
    """Say what was passed over and is not said yet."""
    for what in map(str, (*skipped.holes, *skipped.damages)):
        if what not in said:
            said.append(what)
            _say(f"passed over: {what}")


def _summary(done: VersionDocument) -> str:
    until = "" if done.until is None else f" until {done.until:%Y-%m-%d %H:%M:%S} UTC"
    text = f"version {done.version} of {done.projection} is built{until}: {done.events:,} events"
    if done.unreadable:
        text += f", {done.unreadable:,} of them can't be decoded, as `songline parked list` says"
    if not done.missing:
        return text
    where = MissingEvents(done.missing, done.missing_at).lines()
    return "\n".join([f"{text}, {done.missing:,} are missing", *where])


def _say(line: str) -> None:
    click.echo(line, err=True)
