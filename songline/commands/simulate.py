"""`songline simulate`: the events of simulated listeners, sent live or written to a file."""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import inf
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import click
import msgspec
from click.core import ParameterSource
from msgspec import structs

from songline.cloud.settings import EventHubsSettings
from songline.options import FiniteRange
from songline.producers.publishing.errors import AccessDeniedError
from songline.producers.simulation.config import SimulationConfig, read_config
from songline.producers.simulation.simulator import Due
from songline.schemas.envelope import encode
from songline.schemas.errors import PoisonError
from songline.schemas.moments import read_moment
from songline.schemas.rules import MOMENT_RULE
from songline.sending.exits import CommandError, ExitCode, eventhubs
from songline.sending.live_run import HANDED_OVER, PASSED_OVER, SENT, UNSENT, Account, LiveRunPlan, perform

REPORT_EVERY_S = 10.0
MOST_EVENTS = 10**12
LONGEST_S = 100 * 366 * 86_400
_STOPS = (signal.SIGINT, signal.SIGTERM)
_FIELDS = msgspec.json.schema(SimulationConfig)["$defs"]["SimulationConfig"]["properties"]


class _SimulateCommand(click.Command):
    """Lists the options of the simulated world in a section of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, are_fields in (("Options", False), ("The simulated world", True)):
            params = [each for each in self.get_params(ctx) if (each.name in _FIELDS) is are_fields]
            with formatter.section(title):
                formatter.write_dl([record for each in params if (record := each.get_help_record(ctx)) is not None])


def _option_type(name: str, default: float | int | str) -> click.ParamType | type[int]:
    if isinstance(default, str):
        return click.Choice(_FIELDS[name]["enum"])
    return FiniteRange() if isinstance(default, float) else int


def _world_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each field of SimulationConfig, which declares its limits."""
    for field in reversed(structs.fields(SimulationConfig)):
        text = _FIELDS[field.name]["description"]
        function = click.option(
            f"--{field.name.replace('_', '-')}",
            type=_option_type(field.name, field.default),
            default=field.default,
            show_default=True,
            help=f"{text[0].upper()}{text[1:]}.",
        )(function)
    return function


@click.command(
    cls=_SimulateCommand,
    epilog="Exit codes: 0 done or interrupted; 2 wrong usage or settings, or no access to the hub.",
)
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(min=0), help="The same seed gives the same world."
)
@click.option("--count", type=click.IntRange(0, MOST_EVENTS), help="Stop after so many events.")
@click.option("--duration", type=FiniteRange(0, LONGEST_S), help="Stop after so many (simulated) seconds.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write NDJSON to a file, or - for standard output, and send nothing.",
)
@click.option(
    "--start", help="The time it begins, such as 2026-11-22T14:00:00Z; with --out only.  [default: so that it ends now]"
)
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="The number of processes that send, for more events a second than one can send.",
)
@_world_options
def command(
    seed: int,
    count: int | None,
    duration: float | None,
    out: str | None,
    start: str | None,
    processes: int,
    **world: Any,
) -> None:
    """Simulate realistic listeners: sessions by time of day, favourites, skips, likes, viral songs, bots, and a network
    that delays and repeats events. The uploads of the existing songs come first.

    A live run sends each event at its own time, until Ctrl-C. With --out, events are written as fast as possible, and
    the same seed, start and options give the same bytes.

    \b
    songline simulate --rate 500
    songline simulate --out plays.ndjson --count 100000 --seed 7 --start 2026-11-22T14:00:00Z
    """
    if start is not None and out is None:
        raise click.UsageError("--start goes with --out: a live run starts now.")
    given = click.get_current_context().get_parameter_source("rate")
    if world["pacing"] == "real" and given is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "--rate: with --pacing real the number of listeners sets the rate: leave out one of them."
        )
    if out is not None and processes > 1:
        raise click.UsageError("--processes is for sending: --out writes from one.")
    try:
        plan = LiveRunPlan(seed=seed, config=read_config(world), count=count, duration=duration, parts=processes)
        if out is not None:
            _write(out, plan.events(_start(start, plan), 0))
            return
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OverflowError:
        raise click.UsageError(
            "--start, --count, --duration and --rate: saw moments that are in no year from 1 to 9999, expected a "
            "shorter run, or one that begins at another time."
        ) from None
    except OSError as error:
        # An error of opening a file has its name. An error of writing to it has none.
        if error.filename is None:
            where = "the output" if out == "-" else out
            raise CommandError(f"{where} can't be written: {error.strerror}", ExitCode.OUTPUT) from None
        raise CommandError(f"{out}: {error.strerror}", ExitCode.USAGE) from None
    if processes > plan.config.listeners:
        raise click.UsageError(f"--listeners: saw {plan.config.listeners}, expected at least one a process.")
    settings = eventhubs()
    if processes == 1:
        asyncio.run(_alone(settings, plan))
    else:
        _together(settings, plan)


def _start(start: str | None, plan: LiveRunPlan) -> datetime:
    """The given start, or as long ago as the plan lasts: the hub takes no events of the future."""
    if start is not None:
        try:
            return read_moment(start)
        except PoisonError:
            raise click.UsageError(f"--start: saw {start!r}, expected {MOMENT_RULE}.") from None
    lasts_s = min(plan.duration or inf, inf if plan.count is None else plan.count / plan.config.events_per_s)
    return datetime.now(UTC) - timedelta(seconds=lasts_s if lasts_s < inf else 0)


def _write(out: str, events: Iterator[Due]) -> None:
    with _opened(out) as file:
        file.writelines(encode(event) + b"\n" for _, event in events)


@contextmanager
def _opened(out: str) -> Iterator[BinaryIO]:
    """The file to write to. A pipe that its reader closes is no error."""
    if out != "-":
        with Path(out).open("wb") as file:
            yield file
        return
    try:
        yield sys.stdout.buffer
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _alone(settings: EventHubsSettings, plan: LiveRunPlan) -> None:
    account = [0, 0, 0, 0]
    report = _LiveRunReport([account])
    reporting = asyncio.create_task(_report_on(report))
    try:
        await perform(settings, plan, 0, account)
    except AccessDeniedError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    finally:
        reporting.cancel()
        report.conclude()


async def _report_on(report: "_LiveRunReport") -> None:
    while True:
        await asyncio.sleep(REPORT_EVERY_S)
        report.now()


def _together(settings: EventHubsSettings, plan: LiveRunPlan) -> None:
    """Run each part in its own process. The first that fails ends them all."""
    context = multiprocessing.get_context("spawn")
    accounts: list[Account] = [context.RawArray("q", 4) for _ in range(plan.parts)]
    players = [
        context.Process(target=_play_part, args=(settings, plan, part, account))
        for part, account in enumerate(accounts)
    ]
    report = _LiveRunReport(accounts)
    # A supervisor's SIGTERM reaches only this process. A terminal's Ctrl-C reaches the parts as well, which wait for
    # the SIGTERM that follows.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _uninterrupted():
            for player in players:
                player.start()
        while (running := [each for each in players if each.is_alive()]) and not any(each.exitcode for each in players):
            if not wait([each.sentinel for each in running], REPORT_EVERY_S):
                report.now()
    except KeyboardInterrupt:
        # Ctrl-C is the regular end of a live run.
        pass
    finally:
        started = [each for each in players if each.pid is not None]
        terminated = [each for each in started if each.is_alive()]
        for player in terminated:
            player.terminate()
        for player in started:
            player.join()
    report.conclude()
    # One that has just started ends by the signal itself.
    regular = [each for each in terminated if each.exitcode == -signal.SIGTERM]
    if failed := [each.exitcode for each in players if each.exitcode and each not in regular]:
        raise SystemExit(failed[0])


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let SIGINT and SIGTERM interrupt at the end only, and no process that is started meanwhile before it allows it.

    Raises KeyboardInterrupt.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _STOPS}
    # Its own process is started here: multiprocessing lets signals through behind that.
    resource_tracker.ensure_running()
    # Processes inherit this. In this one other threads still get signals, and the handlers are the main thread's.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def _play_part(settings: EventHubsSettings, plan: LiveRunPlan, part: int, account: Account) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        asyncio.run(perform(settings, plan, part, account))
    except AccessDeniedError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(ExitCode.USAGE) from None


class _LiveRunReport:
    """Reports the rate and the counts on standard error."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = accounts
        self._begun = self._before = monotonic()
        self._sent = 0

    def now(self) -> None:
        """Report the rate since the last report."""
        sent, moment = self._sum(SENT), monotonic()
        rate = (sent - self._sent) / (moment - self._before)
        self._sent, self._before = sent, moment
        # A rate may be so low that none was due.
        taken, done = self._sum(HANDED_OVER), sent + self._sum(UNSENT)
        waits = not rate and (not taken or taken > done)
        self._say("waiting for the hub to take events" if waits else f"{rate:,.1f} events/s")

    def conclude(self) -> None:
        """Report the end."""
        self._say(f"done after {monotonic() - self._begun:.1f} s")

    def _say(self, text: str) -> None:
        passed_over = self._sum(PASSED_OVER)
        overdue = f", {passed_over:,} passed over as overdue" if passed_over else ""
        unsent = self._sum(UNSENT)
        lost = f", {unsent:,} not taken by the hub" if unsent else ""
        click.echo(f"simulate: {text}, {self._sum(SENT):,} sent{lost}{overdue}", err=True)

    def _sum(self, place: int) -> int:
        return sum(account[place] for account in self._accounts)
