"""`songline subscribe`: lets a webhook hear of songs that come and go."""

import hashlib
import os
from urllib.parse import urlsplit

import click
import msgspec

from songline.broadcasting.asking import run_asking
from songline.broadcasting.opening import open_subscriptions
from songline.broadcasting.subscriptions import TYPES, WebhookSubscription
from songline.broadcasting.webhook_url import check_webhook
from songline.processes.environment import load


@click.command(epilog="Exit codes: 0 done; 1 the webhook or its address is refused; 2 settings; 3 no answer.")
@click.argument("url")
@click.option("--name", help="Of the subscription; of the host of URL and a mark of it if it is left out.")
@click.option("--songs", type=click.Choice(list(TYPES)), multiple=True, help="Which; both if it is left out.")
@click.option("--json", "as_json", is_flag=True, help="Print the subscription as JSON.")
def command(url: str, name: str | None, songs: tuple[str, ...], as_json: bool) -> None:
    """Subscribe the webhook at URL to SongUploaded and SongRemoved.

    Event Grid asks it first: it has to answer OPTIONS with 200 and the header WebHook-Allowed-Origin. Then each event
    comes as a CloudEvent, at least once and always with the same id; it is tried again for a day.
    """
    types = tuple(TYPES[one] for one in songs or TYPES)
    made = run_asking(_subscribe(name or named(url), url, types))
    click.echo(msgspec.json.encode(made) if as_json else f"{made.name}: {made.state}, {', '.join(made.types)}")


def named(url: str) -> str:
    """A name for the subscription of a webhook: the same for the same address."""
    try:
        host = urlsplit(url).hostname or "webhook"
    except ValueError:
        host = "webhook"
    letters = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in host)[:40].strip("-")
    return f"{letters or 'webhook'}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


async def _subscribe(name: str, url: str, types: tuple[str, ...]) -> WebhookSubscription:
    async with open_subscriptions(load(os.environ)) as control:
        await check_webhook(url, is_local=control.is_local)
        return await control.put(name, url, types)
