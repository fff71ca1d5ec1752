"""`songline projection`: lists, compares, switches, rolls back and drops the versions of projections."""

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songline.api_client import visible
from songline.cloud.concurrency import gather_or_cancel
from songline.processors.history.compare.compare import compare as compare_versions
from songline.processors.history.compare.comparison import VersionComparison
from songline.processors.history.versions.listing import ListedVersion, list_versions
from songline.processors.history.versions.opening import VersionServices
from songline.processors.history.versions.projections import VERSIONED
from songline.processors.history.versions.switching import VersionSwitch
from songline.schemas.channels import LIBRARY
from songline.schemas.projections import PROJECTIONS_OF_VERSIONS
from songline.sending.exits import CommandError, ExitCode
from songline.versioning import EXIT_CODES, PROJECTION, run_with_versions

VERSION = click.argument("version", type=click.IntRange(min=1))
FORCE = click.option("--force", is_flag=True, help="Also if the version is behind, or lacks what the hub has deleted.")


@click.group(context_settings={"show_default": True}, epilog=EXIT_CODES)
def command() -> None:
    """List, compare, switch, roll back or drop the versions of projections; `songline rebuild` makes them."""


@command.command("list")
@click.argument("projection", type=click.Choice(PROJECTIONS_OF_VERSIONS), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a version a line, as JSON.")
def list_all(projection: str | None, as_json: bool) -> None:
    """List all versions, of PROJECTION or of each, with how far they are behind and what they take."""

    async def work(services: VersionServices) -> list[ListedVersion]:
        names = PROJECTIONS_OF_VERSIONS if projection is None else (projection,)
        lists = [list_versions(VERSIONED[name], services.account, services.store, services.lag) for name in names]
        return [version for found in await gather_or_cancel(lists) for version in found]

    found = run_with_versions(work)
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("projection", "version", "state", "since", "policy", "behind", "size"):
        table.add_column(name, overflow="fold", justify="right" if name in ("version", "size") else "left")
    for one in found:
        since = "" if one.since is None else f"{one.since:%Y-%m-%d %H:%M:%S}"
        state = f"{one.state}, until {one.until:%Y-%m-%d %H:%M:%S}" if one.until else one.state
        size = "" if one.size_kb is None else f"{one.size_kb / 1024:,.1f} MB"
        cells = (one.projection, str(one.version), state, since, visible(one.policy), visible(_behind(one)), size)
        table.add_row(*map(Text, cells))
    Console().print(table)


@command.command()
@PROJECTION
@click.argument("one", type=click.IntRange(min=1), required=False)
@click.argument("other", type=click.IntRange(min=1), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as one line of JSON.")
def compare(projection: str, one: int | None, other: int | None, as_json: bool) -> None:
    """Say what differs between versions ONE and OTHER of PROJECTION; the live one and the newest by default.

    Libraries are compared at the position that both have reached, whatever comes in meanwhile.
    """

    async def work(services: VersionServices) -> VersionComparison:
        switcher = services.switcher(VERSIONED[projection])
        live = (await services.store.live(projection)).version
        first = live if one is None else one
        second = other
        if second is None:
            known = [found.version for found in await services.store.read_all(projection) if found.state != "dropped"]
            second = max([found for found in known if found != first], default=first)
        if first == second:
            message = (
                f"{projection} has no other version than {first} to compare it with: `songline rebuild` makes one."
            )
            raise CommandError(message, ExitCode.USAGE)
        return await compare_versions(projection, await switcher.compared(first), await switcher.compared(second))

    found = run_with_versions(work)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    _show_comparison(found)


@command.command()
@PROJECTION
@click.argument("version", type=click.IntRange(min=1), required=False)
@FORCE
def switch(projection: str, version: int | None, force: bool) -> None:
    """Make VERSION of PROJECTION live, the newest one that is ready by default."""

    async def work(services: VersionServices) -> VersionSwitch:
        return await services.switcher(VERSIONED[projection]).switch(version, force=force)

    _say(projection, run_with_versions(work))


@command.command()
@PROJECTION
@FORCE
def rollback(projection: str, force: bool) -> None:
    """Make the version of PROJECTION live again that was so before."""

    async def work(services: VersionServices) -> VersionSwitch:
        return await services.switcher(VERSIONED[projection]).roll_back(force=force)

    _say(projection, run_with_versions(work))


@command.command()
@PROJECTION
@VERSION
def drop(projection: str, version: int) -> None:
    """Delete VERSION of PROJECTION, and all that it takes. The live version is never dropped."""

    async def work(services: VersionServices) -> None:
        await services.switcher(VERSIONED[projection]).drop(version)

    run_with_versions(work)
    click.echo(f"version {version} of {projection} is dropped")


def _say(projection: str, switched: VersionSwitch) -> None:
    before = "" if switched.before is None else f", version {switched.before} is not any more"
    click.echo(f"version {switched.after.version} of {projection} is live{before}: {switched.lag}")
    click.echo(f"Back again: songline projection rollback {projection}")


def _show_comparison(found: VersionComparison) -> None:
    one, other = (str(version) for version in found.versions)
    what = "listeners" if found.projection == LIBRARY else "documents"
    counts = " and ".join(f"{found.documents.get(each, 0):,} of version {each}" for each in (one, other))
    click.echo(f"{found.projection}: {what} {counts}: {found.equal:,} equal, {found.differing:,} differ")
    for version, count in sorted(found.missing.items()):
        click.echo(f"version {version} lacks {count:,}")
    if not found.is_same_position:
        click.echo("One version is further than the other; what both have applied is compared.")
    if found.later:
        click.echo(f"{found.later:,} have changed since, and are not compared")
    for difference in found.differences:
        click.echo(visible(f"  {difference.id}: {difference.detail}"))


def _behind(version: ListedVersion) -> str:
    if version.state == "dropped":
        return ""
    if version.gone:
        return version.gone
    if version.events_behind is None:
        return "no container"
    if not version.events_behind:
        return "nothing"
    age = "" if version.age_seconds is None else f", {version.age_seconds:.0f} s"
    return f"{version.events_behind:,} events{age}"
