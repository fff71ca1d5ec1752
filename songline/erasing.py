"""What the commands about a listener's data share: their arguments, and their failures as sentences and exit codes."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

from songline.api_client import visible
from songline.cloud.extras import MissingExtraError
from songline.cloud.settings import SettingError
from songline.processes.environment import load
from songline.processors.history.archive.errors import HistoryError
from songline.processors.history.erasure.erasure_store import NoErasureError
from songline.processors.history.erasure.job import NotYetError
from songline.processors.history.erasure.requests import TooLateError
from songline.schemas.forgotten import OUTSIDE_RULE, is_forgotten
from songline.schemas.types import ID_PATTERN, PATTERNS
from songline.sending.exits import CommandError, ExitCode
from songline.service_failures import check_database, service_failure

T = TypeVar("T")

EXIT_CODES = (
    "Exit codes: 0 done; 1 there is no such erasure, or it has begun; 2 wrong usage or settings, or something is "
    "missing; 3 a service can't be reached; 74 the output can't be written."
)

_ID = re.compile(ID_PATTERN)


def checked_listener(user_id: str) -> None:
    """Raise CommandError for what is no listener's id."""
    _check_id("USER", user_id)
    if is_forgotten(user_id):
        raise CommandError(f"USER: saw {user_id!r}, expected {OUTSIDE_RULE}", ExitCode.USAGE)


def checked_erasure(erasure_id: str) -> str:
    """`erasure_id` unchanged; raises CommandError for what can be no erasure's id: for an empty one, Cosmos DB's client
    asks for something else than a document."""
    _check_id("ID", erasure_id)
    return erasure_id


def _check_id(name: str, text: str) -> None:
    if _ID.search(text) is None:
        raise CommandError(f"{name}: saw {visible(repr(text[:100]))}, expected {PATTERNS[ID_PATTERN]}", ExitCode.USAGE)


def run_erasing(work: Callable[[], Awaitable[T]]) -> T:
    """The result of `work`. Raises CommandError for all that services, settings and refusals raise."""

    async def run() -> T:
        await check_database(load(os.environ))
        return await work()

    try:
        return asyncio.run(run())
    except (SettingError, MissingExtraError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except (NoErasureError, TooLateError) as error:
        raise CommandError(f"{error}: `songline forget list` shows all", ExitCode.REFUSED) from None
    except (NotYetError, HistoryError) as error:
        raise CommandError(str(error), ExitCode.UNREACHABLE) from None
    except (AzureError, EventHubError) as error:
        raise service_failure(error, load(os.environ)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or 'the output'}: {error.strerror or error}", ExitCode.OUTPUT) from None
