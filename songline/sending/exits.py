"""Exit codes, settings and errors that the commands share which send events."""

import os
from enum import IntEnum

import click

from songline.cloud.settings import EventHubsSettings, SettingError, read_eventhubs
from songline.processes.environment import load
from songline.producers.publishing.errors import AccessDeniedError, TransientError


class ExitCode(IntEnum):
    """Exit codes. 130 and 143 are the shell's own for Ctrl-C and SIGTERM, 74 that of sysexits.h for output."""

    SENT = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    OUTPUT = 74
    INTERRUPTED = 130
    TERMINATED = 143


class CommandError(click.ClickException):
    """Ends the command with `message` on standard error and the exit code `code`."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = int(code)


def eventhubs() -> EventHubsSettings:
    """The namespace to send to, from the environment or the running `songline up`; raises CommandError."""
    try:
        return read_eventhubs(load(os.environ))
    except SettingError as error:
        raise CommandError(f"{error}. Or start a system of your own with `songline up`.", ExitCode.USAGE) from None


def stopped(error: BaseException) -> CommandError:
    """A publisher's `error` as a CommandError; any other error is raised unchanged."""
    if isinstance(error, TransientError):
        return CommandError(str(error), ExitCode.UNREACHABLE)
    if isinstance(error, AccessDeniedError):
        return CommandError(str(error), ExitCode.USAGE)
    raise error
