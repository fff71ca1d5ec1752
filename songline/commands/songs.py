"""`songline songs`: shows the songs of the catalog."""

import click
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from songline.api_client import ask, decoded, echo_json, visible
from songline.api_connection import ApiConnection, api_options
from songline.identity.scopes import Scope
from songline.options import MaxStaleness
from songline.projections.page_size import MAX_LIMIT
from songline.schemas.progress import Freshness
from songline.schemas.songs import SongsAnswer


@click.command(context_settings={"show_default": True})
@click.argument("q", required=False)
@click.option("--artist", help="Only songs by this artist: the whole name; case, accents and signs don't count.")
@click.option("--genre", help="Only songs of this genre, of any script.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=20, help="The number of songs on a page.")
@click.option("--cursor", help="Show the page that follows the one which printed this cursor.")
@click.option("--max-staleness", type=MaxStaleness(), help="Nothing rather than what is older than this: 5s, 2m, 1h.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer unchanged.")
@api_options
def command(
    q: str | None,
    artist: str | None,
    genre: str | None,
    limit: int,
    cursor: str | None,
    max_staleness: str | None,
    as_json: bool,
    api: ApiConnection,
) -> None:
    """Show the songs of the catalog, newest first. Q holds beginnings of words of title, artist and album."""
    query = {"q": q, "artist": artist, "genre": genre, "cursor": cursor, "limit": str(limit)}
    query["maxStaleness"] = max_staleness
    params = {name: value for name, value in query.items() if value is not None}
    with api.client(10, [Scope.CHARTS_READ]) as client:
        text = ask(client, client.build_request("GET", "/v1/songs", params=params))
    if as_json:
        echo_json(text)
    else:
        Console().print(page(decoded(text, SongsAnswer)))


def page(answer: SongsAnswer) -> RenderableType:
    """Songs as a table, with its freshness and the next page's cursor below."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("id", overflow="fold")
    table.add_column("song", overflow="ellipsis", max_width=60)
    table.add_column("album", overflow="ellipsis", max_width=30)
    table.add_column("genre", no_wrap=True)
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("uploaded", no_wrap=True)
    for song in answer.songs:
        # Titles are untrusted: they are not read as markup.
        table.add_row(
            Text(visible(song.id)),
            Text(visible(f"{song.title} — {song.artist}")),
            Text(visible(song.album or "")),
            Text(visible(", ".join(song.genres or filter(None, [song.genre])))),
            length(song.duration_ms),
            f"{song.uploaded_at:%Y-%m-%d %H:%M}",
        )
    below = [freshness(answer)] + ([] if answer.next is None else [f"more: --cursor {answer.next}"])
    shown: RenderableType = table if answer.songs else Text("no songs")
    return Group(shown, Text("\n".join(below), style="dim"))


def length(duration_ms: int) -> str:
    """Minutes and seconds, `3:21`."""
    minutes, seconds = divmod(round(duration_ms / 1000), 60)
    return f"{minutes}:{seconds:02}"


def freshness(answer: Freshness) -> str:
    """One line: when the answer was made, and the time through which it is complete."""
    through = answer.complete_through
    moment = "not known yet" if through is None else f"{through:%Y-%m-%d %H:%M:%S} UTC"
    return f"as of {answer.as_of:%Y-%m-%d %H:%M:%S} UTC, complete through {moment}"
