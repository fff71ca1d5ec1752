"""`songline library`: shows a listener's library."""

from datetime import datetime

import click
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from songline.api_client import PAST_S, ask, decoded, echo_json, id_in_path, visible
from songline.api_connection import ApiConnection, api_options
from songline.commands.songs import freshness, length
from songline.identity.scopes import Scope
from songline.options import MaxStaleness, PastMoment
from songline.projections.library.lists import FILTERS, SORTS
from songline.projections.page_size import MAX_LIMIT
from songline.schemas.library.answers import Library, LibraryEntry, LibrarySummary, Recent


@click.command(context_settings={"show_default": True})
@click.argument("user")
@click.option(
    "--filter", "only", type=click.Choice(FILTERS), help="Only the songs that the listener liked, played or uploaded."
)
@click.option("--sort", type=click.Choice(SORTS), default="recent", help="The order of the songs.")
@click.option("--recent", is_flag=True, help="Show the last listens instead, newest first.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=20, help="The number of songs on a page.")
@click.option("--cursor", help="Show the page that follows the one which printed this cursor.")
@click.option("--min-position", help="Wait until this event is applied: PARTITION:SEQUENCE, as publishing returns it.")
@click.option("--max-staleness", type=MaxStaleness(), help="Nothing rather than what is older than this: 5s, 2m, 1h.")
@click.option("--as-of", type=PastMoment(), help="Of all that the hub had taken by then; folded from the archive.")
@click.option("--since", type=PastMoment(), help="Only what was heard from then on.")
@click.option("--until", type=PastMoment(), help="Only what was heard before.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer unchanged.")
@api_options
def command(
    user: str,
    only: str | None,
    sort: str,
    recent: bool,
    limit: int,
    cursor: str | None,
    min_position: str | None,
    max_staleness: str | None,
    as_of: str | None,
    since: str | None,
    until: str | None,
    as_json: bool,
    api: ApiConnection,
) -> None:
    """Show the songs that the listener USER played, likes or uploaded."""
    path = f"/v1/users/{id_in_path(user, 'USER')}"
    query: dict[str, str | None] = {"limit": str(min(limit, 50) if recent else limit), "min_position": min_position}
    query |= {"asOf": as_of, "maxStaleness": max_staleness, "since": since, "until": until}
    if not recent:
        query |= {"filter": only, "sort": sort, "cursor": cursor}
    params = {name: value for name, value in query.items() if value is not None}
    of_when = {name: value for name, value in params.items() if name in ("asOf", "maxStaleness", "since", "until")}
    with api.client(10 if as_of is None else PAST_S, [Scope.LIBRARY_READ], user) as client:
        text = ask(client, client.build_request("GET", f"{path}/{'recent' if recent else 'library'}", params=params))
        if as_json:
            echo_json(text)
            return
        summary = decoded(ask(client, client.build_request("GET", f"{path}/summary", params=of_when)), LibrarySummary)
    shown = listens(decoded(text, Recent)) if recent else page(decoded(text, Library))
    Console().print(Group(Text(in_sum(summary)), shown))


def page(library: Library) -> RenderableType:
    """Entries as a table, with its freshness and the next page's cursor below."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("song", overflow="ellipsis", max_width=60)
    for name in ("plays", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("last played", "liked", "uploaded"):
        table.add_column(name, no_wrap=True)
    for entry in library.entries:
        moments = (entry.last_played_at, entry.liked_at, entry.uploaded_at)
        table.add_row(song(entry), f"{entry.plays:,}", length(entry.ms_played), *(moment(one) for one in moments))
    more = [] if library.next is None else [f"more: --cursor {library.next}"]
    shown: RenderableType = table if library.entries else Text("no songs")
    return Group(shown, Text("\n".join([freshness(library), *more]), style="dim"))


def listens(recent: Recent) -> RenderableType:
    """Listens as a table, newest first."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("heard", no_wrap=True)
    table.add_column("song", overflow="ellipsis", max_width=60)
    table.add_column("for", justify="right", no_wrap=True)
    for one in recent.listens:
        table.add_row(f"{one.at:%Y-%m-%d %H:%M:%S}", called(one.song_id, one.title, one.artist), length(one.ms_played))
    shown: RenderableType = table if recent.listens else Text("nothing heard yet")
    return Group(shown, Text(freshness(recent), style="dim"))


def in_sum(summary: LibrarySummary) -> str:
    """The summary of a library in one line."""
    hours = summary.ms_played / 3_600_000
    return (
        f"{visible(summary.user_id)}: {summary.listens:,} listens to {summary.songs:,} songs in {hours:,.1f} h, "
        f"{summary.liked:,} liked, {summary.uploaded:,} uploaded"
    )


def song(entry: LibraryEntry) -> Text:
    return called(entry.song_id, entry.title, entry.artist)


def called(song_id: str, title: str | None, artist: str | None) -> Text:
    """A song's title and artist, or its id. They are untrusted: not read as markup, without control characters."""
    return Text(song_id, style="dim") if title is None else Text(visible(f"{title} — {artist}"))


def moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"
