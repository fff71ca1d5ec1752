"""What the commands about versions share: their arguments, and their failures as sentences and exit codes."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import click
from aiokafka.errors import KafkaError
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

from songline.cloud.cosmos import NotByTokenError
from songline.cloud.settings import SettingError
from songline.processes.environment import load
from songline.processors.history.archive.errors import HistoryError
from songline.processors.history.archive.spans import MomentError, NoHistoryError
from songline.processors.history.compare.shelf_walk import UnsettledShelfError
from songline.processors.history.rebuild.lease import RebuildRefusedError
from songline.processors.history.rebuild.partition_fold import FoldFailedError
from songline.processors.history.versions.opening import VersionServices, open_versions
from songline.processors.history.versions.switching import SwitchRefusedError
from songline.processors.history.versions.version_store import NoVersionsError, VersionOvertakenError
from songline.processors.runtime.service_errors import ItemRefusedError
from songline.processors.runtime.watermark_store import PositionResetError
from songline.processors.trending.cells.identity_key_store import IdentityKeyError
from songline.schemas.errors import PoisonError
from songline.schemas.projections import PROJECTIONS_OF_VERSIONS, DamagedVersionError
from songline.sending.exits import CommandError, ExitCode
from songline.service_failures import service_failure

T = TypeVar("T")

PROJECTION = click.argument("projection", type=click.Choice(PROJECTIONS_OF_VERSIONS))

EXIT_CODES = (
    "Exit codes: 0 done; 2 refused, wrong usage or settings, or something is missing; 3 a service can't be reached."
)

_REFUSALS = (
    SwitchRefusedError,
    RebuildRefusedError,
    VersionOvertakenError,
    DamagedVersionError,
    HistoryError,
    FoldFailedError,
    ItemRefusedError,
    MomentError,
    NoHistoryError,
    NoVersionsError,
    UnsettledShelfError,
    PositionResetError,
    IdentityKeyError,
)


def run_with_versions(work: Callable[[VersionServices], Awaitable[T]]) -> T:
    """The result of `work`. Raises CommandError for all that services, settings and refusals raise."""

    # It says of every connection to an emulator that this has no TLS.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)

    async def run() -> T:
        async with open_versions(load(os.environ)) as services:
            await services.store.check()
            return await work(services)

    try:
        return asyncio.run(run())
    except SettingError as error:
        message = f"{error}. Or start a system of your own with `songline up`."
        raise CommandError(message, ExitCode.USAGE) from None
    except Exception as error:
        failure = failure_of(error, load(os.environ))
        if failure is None:
            raise
        raise failure from None


def failure_of(error: Exception, environ: Mapping[str, str]) -> CommandError | None:
    """What a command says of an error; None where it is of no known kind."""
    if isinstance(error, NotByTokenError):
        return CommandError(f"{error.sentence}.", ExitCode.USAGE)
    if isinstance(error, _REFUSALS):
        return CommandError(f"{error}.", ExitCode.USAGE)
    if isinstance(error, PoisonError):
        return CommandError(f"a stored document can't be understood: {error}.", ExitCode.USAGE)
    if isinstance(error, AzureError | EventHubError | KafkaError):
        return service_failure(error, environ)
    return None
