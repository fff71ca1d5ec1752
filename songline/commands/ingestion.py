"""`songline ingestion`: shows the state and the history of an upload."""

from collections.abc import Iterator

import click
import httpx
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from songline.api_client import ask, check, decoded, echo_json, id_in_path, unreachable, visible
from songline.api_connection import ApiConnection, api_options
from songline.identity.scopes import Scope
from songline.projections.ingestions.queries import Step
from songline.schemas.ingestions import IngestionAnswer, Transition

# The event stream sends an event or a keep-alive comment every 15 s.
SILENCE = 60.0


@click.command()
@click.argument("ingestion_id", metavar="ID")
@click.option("--follow", is_flag=True, help="Show each step as it happens, until the last.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer unchanged; with --follow, a step a line.")
@api_options
def command(ingestion_id: str, follow: bool, as_json: bool, api: ApiConnection) -> None:
    """Show the state and the history of the upload ID, with the reason if it was rejected or is dead."""
    path = f"/v1/ingestions/{id_in_path(ingestion_id, 'ID')}"
    # It may be of any uploader.
    scopes = [Scope.SONGS_WRITE, Scope.ADMIN]
    with api.client(httpx.Timeout(10, read=SILENCE), scopes) as client:
        if follow:
            for step in _follow(client, client.build_request("GET", f"{path}/events")):
                if as_json:
                    echo_json(step)
                else:
                    click.echo(line(decoded(step, Step)))
            return
        text = ask(client, client.build_request("GET", path))
    if as_json:
        echo_json(text)
    else:
        Console().print(page(decoded(text, IngestionAnswer)))


def page(answer: IngestionAnswer) -> RenderableType:
    """The facts about the ingestion, and a line for each state that it was in."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts(answer):
        table.add_row(Text(name, style="dim"), Text(visible(value)))
    return Group(table, Text(""), Text("\n".join(line(step) for step in answer.history)))


def facts(answer: IngestionAnswer) -> Iterator[tuple[str, str]]:
    """The facts about the ingestion, as pairs of a label and a text."""
    yield "ingestion", answer.id
    yield "state", answer.state if answer.removed_at is None else f"{answer.state}, removed since"
    yield "file", f"{answer.file_name or '(no name)'}, {answer.size:,} bytes, {answer.content_type}"
    yield "uploader", answer.user_id
    if answer.attempts > 1:
        yield "attempts", str(answer.attempts)
    if answer.audio is not None:
        yield "song", f"{answer.audio.title} — {answer.audio.artist}"
        yield "found", f"{answer.audio.format}, {answer.audio.duration_ms / 1000:.1f} s"
        if genres := answer.audio.genres or tuple(filter(None, (answer.audio.genre,))):
            yield "genre", ", ".join(genres)
    if answer.song_id is not None:
        yield "song id", answer.song_id
    if answer.reason is not None:
        yield "reason", f"{answer.reason.text} ({answer.reason.cause})"


def line(step: Step | Transition) -> str:
    """A step of the ingestion as one line: time, state, and reason or note."""
    said = step.note if step.reason is None else step.reason.text
    return visible(f"{step.at:%Y-%m-%d %H:%M:%S}  {step.state:<10}{'' if said is None else f'  {said}'}").rstrip()


def _follow(client: httpx.Client, request: httpx.Request) -> Iterator[str]:
    """The data of each event, as it comes. Raises ApiRefusalError and ApiUnreachableError."""
    try:
        answer = client.send(request, stream=True)
        try:
            if not answer.is_success:
                answer.read()
            check(answer)
            for text in answer.iter_lines():
                if text.startswith("data: "):
                    yield text.removeprefix("data: ")
        finally:
            answer.close()
    except httpx.TransportError as error:
        raise unreachable(request, error) from None
