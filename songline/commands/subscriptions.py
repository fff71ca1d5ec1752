"""`songline subscriptions`: lists and deletes the webhooks that hear of songs."""

import os

import click
import msgspec

from songline.broadcasting.asking import run_asking
from songline.broadcasting.opening import open_subscriptions
from songline.broadcasting.subscriptions import WebhookSubscription
from songline.processes.environment import load
from songline.sending.exits import CommandError, ExitCode


@click.command(epilog="Exit codes: 0 done; 1 there is no such subscription; 2 settings; 3 no answer.")
@click.option("--delete", "name", help="Delete the subscription of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print the subscriptions as JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the subscriptions of webhooks, or delete one."""
    if name is not None:
        if not run_asking(_delete(name)):
            raise CommandError(f"there is no subscription {name!r}", ExitCode.REFUSED)
        click.echo(f"{name}: deleted")
        return
    found = run_asking(_all())
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for one in found:
        waiting = "" if one.waiting is None else f", {one.waiting} waiting"
        click.echo(f"{one.name}  {one.url}  {one.state}{waiting}")
    if not found:
        click.echo("Nobody is subscribed.")


async def _all() -> list[WebhookSubscription]:
    async with open_subscriptions(load(os.environ)) as control:
        return await control.all()


async def _delete(name: str) -> bool:
    async with open_subscriptions(load(os.environ)) as control:
        return await control.delete(name)
