"""What an error of a service means: it is away, it refuses this worker, or it refuses this item."""

from collections.abc import Iterator
from enum import Enum

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from azure.core.exceptions import AzureError, HttpResponseError
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub.exceptions import EventHubError

from songline.cloud.settings import BLOB_CONNECTION, COSMOS_CONNECTION, EVENTHUB_CONNECTION
from songline.processors.runtime.access import denies

SERVICE_ERRORS = (AzureError, EventHubError, KafkaError)
"""What the SDKs raise for whatever a service, or the way to it, does."""

# 413 is Cosmos DB's for a document over 2 MB; 400 for one that it can't take.
_REFUSED = (400, 413)


class ServiceFault(Enum):
    """What follows: wait and try again; wait, and say which key or role is wrong; pass the item over."""

    AWAY = "away"
    ACCESS_DENIED = "refuses us"
    ITEM_REFUSED = "refuses this item"


class ItemRefusedError(Exception):
    """A service refuses what a record makes of its item, whoever writes it and however often."""


def fault(error: Exception) -> ServiceFault:
    """What `error`, one of SERVICE_ERRORS, means."""
    if denies(error):
        return ServiceFault.ACCESS_DENIED
    if isinstance(error, MessageSizeTooLargeError):
        return ServiceFault.ITEM_REFUSED
    refused = isinstance(error, HttpResponseError) and error.status_code in _REFUSED
    return ServiceFault.ITEM_REFUSED if refused else ServiceFault.AWAY


def access(error: Exception) -> str:
    """Which key or role is to be looked at where a service refuses us with `error`."""
    if isinstance(error, EventHubError | KafkaError):
        return f"the key in {EVENTHUB_CONNECTION}, or that this identity has the role Azure Event Hubs Data Owner"
    if isinstance(error, CosmosHttpResponseError):
        role = "Cosmos DB Built-in Data Contributor"
        return f"the key in {COSMOS_CONNECTION}, or that this identity has the role {role}"
    return f"the key in {BLOB_CONNECTION}, or that this identity has the role Storage Blob Data Contributor"


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that a group is made of, or the one that is none."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


def is_refusal(error: BaseException) -> bool:
    """Whether nothing but ItemRefusedError is in it."""
    return all(isinstance(one, ItemRefusedError) for one in leaves(error))


def last_line(error: BaseException) -> str:
    """The line of it that says what happened, with its type: the last one that a traceback would have. What a service
    answers is told in its first line, and ids of the request follow. Of a group, that of its first error."""
    first = next(leaves(error))
    lines = [line.strip() for line in str(first).splitlines() if line.strip()]
    if not lines:
        return type(first).__name__
    line = lines[-1]
    if isinstance(first, (*SERVICE_ERRORS, ItemRefusedError)):
        line = next((line for line in lines if not line.startswith("Status code: ")), lines[0])
    return f"{type(first).__name__}: {line}".rstrip(": ")
