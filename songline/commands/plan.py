"""`songline plan`: what a workload needs on Azure, and what it costs."""

import json
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from songline.deployment.planning.plan import Plan, PlanLine, make_plan
from songline.deployment.planning.prices import SHIPPED, PriceFileError, read_prices
from songline.deployment.planning.workload import Workload
from songline.options import FiniteRange
from songline.sending.exits import CommandError, ExitCode

_DEFAULT = Workload(plays_per_second=0, listeners=0, songs=0, uploads_per_day=0)


@click.command(context_settings={"show_default": True}, epilog="Exit codes: 0 done; 2 wrong usage, or no such prices.")
@click.option("--plays-per-second", type=FiniteRange(0, 1e6), required=True, help="In the mean of a month.")
@click.option("--listeners", type=click.IntRange(0, 10**10), required=True, help="Those that are active.")
@click.option("--songs", type=click.IntRange(0, 10**10), required=True, help="Songs at first.")
@click.option("--uploads-per-day", type=FiniteRange(0, 1e7), required=True, help="Songs that come.")
@click.option("--song-megabytes", type=FiniteRange(0, 1e4), default=_DEFAULT.song_megabytes, help="Of one song.")
@click.option("--peak", type=FiniteRange(1, 1e3), default=_DEFAULT.peak, help="The busiest minutes by the mean.")
@click.option("--months", type=click.IntRange(1, 600), default=_DEFAULT.months, help="After how many months.")
@click.option("--reads-per-second", type=FiniteRange(0, 1e6), default=None, help="Of the API; by listeners otherwise.")
@click.option("--prices", type=click.Path(dir_okay=False, path_type=Path), default=None, help="A file of other prices.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(prices: Path | None, as_json: bool, **workload: float) -> None:
    """Estimate throughput units, partitions, workers, request units and storage on Azure, and their price.

    Each line is marked: `measured` by us, `published` by Azure, or `assumed`. A line is no surer than the least sure
    figure in it: `assumed (1 of 5)` has one assumed figure among five.
    """
    try:
        plan = make_plan(msgspec.convert(workload, Workload), read_prices(prices or SHIPPED))
    except PriceFileError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    if as_json:
        click.echo(msgspec.json.encode(plan))
    else:
        _show(plan, Console())


def _show(plan: Plan, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("service", "what", "how much", f"{plan.currency} a month", "mark"):
        table.add_column(title, justify="right" if title[0] in "hU" or plan.currency in title else "left")
    for line in plan.lines:
        table.add_row(
            line.service, line.name, _amount(line), f"{line.monthly:,.2f}" if line.monthly else "", _mark(line)
        )
    console.print(table)
    console.print(f"All: {plan.monthly:,.0f} {plan.currency} a month, by prices of {plan.prices_of}.", soft_wrap=True)
    for warning in plan.warnings:
        console.print(f"Does not fit: {warning}.", soft_wrap=True)
    if plan.parameters:
        given = {name: {"value": value} for name, value in plan.parameters.items()}
        console.print("For infra/azure/main.parameters.json:", soft_wrap=True)
        console.print(json.dumps(given)[1:-1], soft_wrap=True, markup=False, highlight=False)
    console.print("`--json` says what each line is made of.", soft_wrap=True)


def _amount(line: PlanLine) -> str:
    number = f"{line.amount:,.0f}" if line.amount == int(line.amount) or line.amount >= 100 else f"{line.amount:,.2f}"
    return f"{number} {line.unit}".strip()


def _mark(line: PlanLine) -> str:
    """The mark of the least sure figures in the line, and how many of all have it."""
    weak = sum(one.startswith(line.mark) for one in line.made_of)
    return line.mark if weak == len(line.made_of) else f"{line.mark} ({weak} of {len(line.made_of)})"
