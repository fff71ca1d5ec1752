"""The command `songline`. A subcommand is imported when it is invoked, so that each starts fast."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from songline.cloud.extras import DISTRIBUTION, load
from songline.terminal import run

COMMANDS = {
    "up": "Run the whole system on this machine.",
    "publish": "Send events from a file, standard input or options.",
    "simulate": "Send or write the events of simulated listeners.",
    "upload": "Upload songs from files and folders.",
    "import": "Bring along what a listener heard elsewhere.",
    "match": "Say which song a name is, or take that back.",
    "dlq": "List, show, resubmit or discard dead letters.",
    "parked": "List, show, resubmit or discard parked records.",
    "chart": "Show a chart, once or live.",
    "policy": "Check or show the rules of the charts.",
    "songs": "Show the songs of the catalog.",
    "library": "Show what a listener played, likes and uploaded.",
    "export": "Write all that is held about a listener, or all events.",
    "forget": "Erase a listener.",
    "ingestion": "Show the state of an upload.",
    "rebuild": "Build a projection's next version from the archive.",
    "projection": "List, compare, switch, roll back or drop versions.",
    "subscribe": "Let a webhook hear of songs that come and go.",
    "subscriptions": "List or delete such webhooks.",
    "checkpoints": "Show or reset the workers' checkpoints.",
    "token": "Print an access token for the API.",
    "listener": "Make, list or revoke the tokens of a listener's players.",
    "sql": "Ask the archive in SQL.",
    "doctor": "Check every service, entity and setting.",
    "audit": "Prove that nothing is lost or counted twice.",
    "plan": "Estimate what a workload needs on Azure, and its price.",
}


EXTRAS = {"up": "local", "audit": "local", "rebuild": "history", "export": "history"}
"""The extra that brings what a command imports, if it is not `cli`."""


class _Commands(click.Group):
    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        invoke = partial(super().main, args, prog_name, complete_var, False, **extra)
        return run(invoke) if standalone_mode else invoke()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = load(f"songline.commands.{name}", EXTRAS.get(name, "cli")).command  # type: ignore[attr-defined]
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Songline: plays, likes and uploads in; charts out."""
