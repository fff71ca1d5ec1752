"""What a command says of a service that fails: what is wrong, what to do, and the exit code."""

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from azure.core.exceptions import AzureError
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud import cosmos
from songline.cloud.service_fault import ServiceFault, access_hint, fault_of, is_denied
from songline.cloud.settings import SettingError, read_cosmos
from songline.processors.runtime.service_errors import last_line
from songline.schemas.channels import DATABASE
from songline.sending.exits import CommandError, ExitCode

_NO_TOPIC = "UnknownTopicOrPartitionError"
_MAKE = "`songline doctor` says how to make it"
_ENTITY = re.compile(r"messaging entity '(?:sb://[^/']*/)?([^'/]+)")


def service_failure(error: BaseException, environ: Mapping[str, str]) -> CommandError:
    """What a command says of an error of a service that `environ` names."""
    if (lacking := _lacking(error, environ)) is not None:
        return CommandError(lacking, ExitCode.USAGE)
    line = last_line(error)
    match fault_of(error):
        case ServiceFault.ACCESS_DENIED:
            return CommandError(f"{_service(error)} refuses us: {line}; see {access_hint(error)}", ExitCode.USAGE)
        case ServiceFault.REQUEST_REFUSED | ServiceFault.ITEM_REFUSED:
            return CommandError(f"{_service(error)} refuses what was asked: {line}", ExitCode.USAGE)
        case _:
            answers = getattr(error, "status_code", None) is not None
            seen = f"{_service(error)} has no answer at the moment" if answers else "a service can't be reached"
            return CommandError(f"{seen}: {line}\n`songline doctor` shows details.", ExitCode.UNREACHABLE)


async def check_database(environ: Mapping[str, str]) -> None:
    """Raise CosmosResourceNotFoundError where the product's database is missing, which readers of what may be missing
    take for empty. Raises AzureError and SettingError too."""
    async with cosmos.opened(read_cosmos(environ)) as account:
        try:
            await account.get_database_client(DATABASE).read()
        except AzureError as error:
            # An identity may have its role in containers alone.
            if not is_denied(error):
                raise


def _has_database(environ: Mapping[str, str]) -> bool:
    """Whether the account of Cosmos DB has the product's database; also where it does not say. It says the same of a
    container that is missing and of one in a database that is."""
    try:
        asyncio.run(check_database(environ))
    except CosmosResourceNotFoundError:
        return False
    except (AzureError, SettingError):
        return True
    return True


def _lacking(error: BaseException, environ: Mapping[str, str]) -> str | None:
    """Which entity a service lacks, and what to do; None where that is not what the error says."""
    names = {base.__name__ for base in type(error).__mro__}
    if _NO_TOPIC in names:
        return str(error).rpartition(f"{_NO_TOPIC}: ")[2]
    if fault_of(error) is not ServiceFault.MISSING:
        return None
    path = _path(error)
    match _service(error), path:
        case "Cosmos DB", ["dbs", database, *_] if not _has_database(environ):
            return f"Cosmos DB has no database {database}: {_MAKE}"
        case "Cosmos DB", ["dbs", database, "colls", container, *_]:
            return f"Cosmos DB has no container {container} in the database {database}: {_MAKE}"
        case "Blob Storage", [container, *_] if getattr(error, "error_code", None) == "ContainerNotFound":
            return f"Blob Storage has no container {container}: {_MAKE}"
        case "Event Hubs" | "Service Bus" as service, _ if found := _ENTITY.search(_words(error)):
            return f"{service} has no {'hub' if service == 'Event Hubs' else 'queue'} {found[1]}: {_MAKE}"
        case service, _:
            return f"{service} lacks what was asked for: {last_line(error)}; `songline doctor` shows what is there"


def _service(error: BaseException) -> str:
    """The service that the error is of, as an operator calls it."""
    names = {base.__name__ for base in type(error).__mro__}
    if names & {"EventHubError", "KafkaError"}:
        return "Event Hubs"
    if "ServiceBusError" in names:
        return "Service Bus"
    return "Cosmos DB" if "CosmosHttpResponseError" in names else "Blob Storage"


def _words(error: BaseException) -> str:
    """All that the error says. The SDK of Service Bus hides the reason in the exception within."""
    return f"{error} {getattr(error, 'inner_exception', None)}"


def _path(error: BaseException) -> list[str]:
    """The path of the request that a service answered, in its parts; nothing where the error does not say."""
    request = getattr(getattr(error, "response", None), "request", None)
    url = urlsplit(str(getattr(request, "url", "")))
    parts = [unquote(part) for part in url.path.split("/") if part]
    # An emulator of Blob Storage has the account's name in the path.
    is_of_emulator = _service(error) == "Blob Storage" and ".blob." not in (url.hostname or "")
    return parts[1:] if is_of_emulator else parts
