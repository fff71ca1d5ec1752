"""`songline policy`: checks and shows the rules of the charts."""

from pathlib import Path

import click

from songline.schemas.decoding import excerpt
from songline.schemas.errors import ContractViolationError
from songline.schemas.policy import MAX_POLICY_BYTES, ChartPolicy, parse_policy, policy_text, shipped_text
from songline.sending.exits import CommandError, ExitCode


@click.group(epilog="Exit codes: 0 done; 2 a policy that breaks a rule, or wrong usage.")
def command() -> None:
    """Check or show the rules of the charts: what a listen is, weights, half lives, excluded listeners."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check the policy in FILE, and print it with every rule."""
    policy = read_policy(file)
    click.echo(f"# {excerpt(str(file))}: charts of this policy say {policy.label}")
    click.echo(policy_text(policy), nl=False)


@command.command()
def show() -> None:
    """Print the policy that Songline ships, to be changed under another name."""
    click.echo(shipped_text(), nl=False)


def read_policy(file: Path) -> ChartPolicy:
    """The policy in a file; raises CommandError, exit code 2, that names the field, its value and the rule."""
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_POLICY_BYTES + 1).decode("utf-8")
        return parse_policy(text)
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: byte {error.start} is no UTF-8, which TOML is", ExitCode.USAGE) from None
    except ContractViolationError as error:
        raise CommandError(f"{file}: {error}", ExitCode.USAGE) from None
