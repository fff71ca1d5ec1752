"""`songline chart`: a chart in the terminal."""

import time
from datetime import UTC, datetime

import click
import httpx
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from songline.api_client import PAST_S, ApiUnreachableError, ask, decoded, echo_json, visible
from songline.api_connection import ApiConnection, api_options
from songline.identity.scopes import Scope
from songline.identity.token_client import IssuerUnreachableError
from songline.options import MaxStaleness, PastMoment
from songline.schemas.documents import CHART_SIZE, GLOBAL, KINDS, WINDOWS, Chart, ChartEntry

REFRESH = 1.0


@click.command(context_settings={"show_default": True})
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("window", type=click.Choice(WINDOWS))
@click.option("--scope", default=GLOBAL, help="global, region:DE, or genre:indie.")
@click.option("--limit", type=click.IntRange(1, CHART_SIZE), default=20, help="How many lines.")
@click.option("--max-staleness", type=MaxStaleness(), help="Nothing rather than what is older than this: 5s, 2m, 1h.")
@click.option("--as-of", type=PastMoment(), help="Of all that the hub had taken by then; folded from the archive.")
@click.option("--watch", is_flag=True, help="Show it live, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer unchanged; with --watch, one a line.")
@api_options
def command(
    kind: str,
    window: str,
    scope: str,
    limit: int,
    max_staleness: str | None,
    as_of: str | None,
    watch: bool,
    as_json: bool,
    api: ApiConnection,
) -> None:
    """Show the KIND chart of the last WINDOW: the songs with the most listens (top), or those that rise (trending)."""
    if watch and as_of is not None:
        raise click.UsageError("--watch shows what changes; nothing of the past does.")
    with api.client(10 if as_of is None else PAST_S, [Scope.CHARTS_READ]) as client:
        params: dict[str, str | int] = {"scope": scope, "limit": limit}
        if as_of is not None:
            params["asOf"] = as_of
        if max_staleness is not None:
            params["maxStaleness"] = max_staleness
        request = client.build_request("GET", f"/v1/charts/{kind}/{window}", params=params)
        try:
            if watch:
                _watch(client, request, as_json)
            elif as_json:
                echo_json(ask(client, request))
            else:
                Console().print(page(decoded(ask(client, request), Chart), datetime.now(UTC)))
        except KeyboardInterrupt:
            return


def page(chart: Chart, now: datetime) -> RenderableType:
    """A chart as a table, with its freshness below."""
    table = Table(
        title=f"{chart.kind} · last {chart.window} · {chart.scope}", title_justify="left", box=box.SIMPLE_HEAD
    )
    for name in ("rank", "moved"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("song", overflow="ellipsis", max_width=60)
    for name in ("listens", "likes", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in chart.entries:
        numbers = (f"{entry.listens:,}", f"{entry.likes:,}", f"{entry.score:,.1f}")
        table.add_row(str(entry.rank), movement(entry, chart.compared_with is not None), song(entry), *numbers)
    if not chart.entries:
        table.add_row("", "", Text("no listens or likes in this time", style="dim"), "", "", "")
    return Group(table, Text(freshness(chart, now), style="dim"))


def movement(entry: ChartEntry, compared: bool) -> Text:
    """The song's change of rank since the snapshot that its chart is compared with; empty without one."""
    if not compared:
        return Text()
    if entry.previous_rank is None:
        return Text("new", style="cyan")
    change = entry.previous_rank - entry.rank
    if change == 0:
        return Text("=", style="dim")
    return Text(f"▲{change}", style="green") if change > 0 else Text(f"▼{-change}", style="red")


def song(entry: ChartEntry) -> Text:
    """The entry's title and artist. They are untrusted: not read as markup, without control characters."""
    if entry.title is None:
        return Text(entry.song_id, style="dim")
    return Text(visible(f"{entry.title} — {entry.artist}"))


def freshness(chart: Chart, now: datetime) -> str:
    """One line: when the chart was made, how complete it is, and by which policy."""
    through = "nothing yet" if chart.complete_through is None else f"{chart.complete_through:%H:%M:%S} UTC"
    events = sum(offset + 1 for offset in chart.position.values())
    age = (now - chart.as_of).total_seconds()
    return (
        f"as of {chart.as_of:%Y-%m-%d %H:%M:%S} UTC ({age:.0f} s ago), "
        f"complete through {through}, {events:,} events, policy {chart.policy}"
    )


def _watch(client: httpx.Client, request: httpx.Request, as_json: bool) -> None:
    if as_json:
        while True:
            echo_json(ask(client, request))
            time.sleep(REFRESH)
    console = Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            try:
                shown = page(decoded(ask(client, request), Chart), datetime.now(UTC))
            except (ApiUnreachableError, IssuerUnreachableError) as error:
                # The API may be restarting. The last chart would look current, so the error replaces it.
                shown = Text(f"{error.message}\nTrying again …", style="red")
            live.update(shown, refresh=True)
            time.sleep(REFRESH)
