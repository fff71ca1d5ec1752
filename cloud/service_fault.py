"""What an error of a service means for a caller: try again, mend access, mend the request, or give the item up.

Errors of Service Bus, Cosmos DB and Kafka are known by the names of their classes: a process that does not use a
service may not have its SDK installed.
"""

from enum import Enum

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.eventhub.exceptions import AuthenticationError, ClientClosedError, EventDataError, EventHubError

from songline.cloud.settings import BLOB_CONNECTION, COSMOS_CONNECTION, EVENTHUB_CONNECTION


class ServiceFault(Enum):
    """The kinds of faults. Only the first passes by itself; an operator must mend the next three."""

    UNAVAILABLE = "away"
    ACCESS_DENIED = "refuses us"
    MISSING = "has no such entity"
    REQUEST_REFUSED = "refuses what we ask"
    ITEM_REFUSED = "refuses this item"


# By the status of an answer over HTTP. Cosmos DB answers 413 to a document over 2 MB and 400 to one that it can't
# store; 410 and 449 when a partition moves. A conflict (409, 412) passes once the caller reads again.
_BY_STATUS = {
    400: ServiceFault.ITEM_REFUSED,
    401: ServiceFault.ACCESS_DENIED,
    403: ServiceFault.ACCESS_DENIED,
    404: ServiceFault.MISSING,
    408: ServiceFault.UNAVAILABLE,
    409: ServiceFault.UNAVAILABLE,
    410: ServiceFault.UNAVAILABLE,
    412: ServiceFault.UNAVAILABLE,
    413: ServiceFault.ITEM_REFUSED,
    429: ServiceFault.UNAVAILABLE,
    449: ServiceFault.UNAVAILABLE,
}

_PARTITION_FULL = 1014
"""The sub-status of Cosmos DB's 403 where a logical partition has its 20 GB: no key or role mends that. Source:
"Troubleshoot Azure Cosmos DB forbidden exceptions"."""

# By the condition of an AMQP error, behind its first colon. Source: "AMQP errors" in the troubleshooting guide of Azure
# messaging, and AMQP 1.0 sections 2.8.15 and following.
_BY_CONDITION = {
    "argument-error": ServiceFault.REQUEST_REFUSED,
    "argument-out-of-range": ServiceFault.REQUEST_REFUSED,
    "decode-error": ServiceFault.REQUEST_REFUSED,
    "entity-disabled": ServiceFault.MISSING,
    "invalid-field": ServiceFault.REQUEST_REFUSED,
    "link:message-size-exceeded": ServiceFault.ITEM_REFUSED,
    "not-allowed": ServiceFault.REQUEST_REFUSED,
    "not-found": ServiceFault.MISSING,
    "not-implemented": ServiceFault.REQUEST_REFUSED,
    "resource-deleted": ServiceFault.MISSING,
    "unauthorized-access": ServiceFault.ACCESS_DENIED,
}

# By the name of an error's class, or of one of its bases.
_BY_NAME = {
    "MessageSizeExceededError": ServiceFault.ITEM_REFUSED,
    "MessageSizeTooLargeError": ServiceFault.ITEM_REFUSED,
    "MessagingEntityDisabledError": ServiceFault.MISSING,
    "MessagingEntityNotFoundError": ServiceFault.MISSING,
    "ServiceBusAuthenticationError": ServiceFault.ACCESS_DENIED,
    "ServiceBusAuthorizationError": ServiceFault.ACCESS_DENIED,
}


# What the SDK of Event Hubs says over WebSockets to an endpoint of one's own, where nobody listens there: its error is
# one of authentication, though no credential was asked for yet.
_NOT_CONNECTED = "Failed to authenticate the connection due to exception"

# What Azure says of an entity that does not exist, when a token is put for it: an error of authentication as well.
_NOT_THERE = "Status code: 404"


def fault_of(error: BaseException) -> ServiceFault | None:
    """What `error` means; None for an error that is not of a service or of the way to it."""
    if isinstance(error, EventHubError):
        return _eventhub_fault(error)
    names = {base.__name__ for base in type(error).__mro__}
    if "KafkaError" in names:
        # aiokafka's errors of this kind share nothing but their names.
        denied = "Auth" in type(error).__name__
        return ServiceFault.ACCESS_DENIED if denied else _named_fault(names)
    if not isinstance(error, AzureError):
        return None
    if isinstance(error, ClientAuthenticationError):
        return ServiceFault.ACCESS_DENIED
    if "ServiceBusAuthenticationError" in names and _NOT_THERE in str(getattr(error, "inner_exception", None)):
        return ServiceFault.MISSING
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        if error.status_code == 403 and _PARTITION_FULL in _sub_statuses(error):
            return ServiceFault.REQUEST_REFUSED
        other = ServiceFault.REQUEST_REFUSED if 400 <= error.status_code < 500 else ServiceFault.UNAVAILABLE
        return _BY_STATUS.get(error.status_code, other)
    return _named_fault(names)


def is_transient(error: BaseException) -> bool:
    """Whether what failed may work when it is tried again: a busy service, a lost connection, a time-out."""
    return fault_of(error) is ServiceFault.UNAVAILABLE


def is_denied(error: BaseException) -> bool:
    """Whether a service refuses our key or role, which only an operator can mend."""
    return fault_of(error) is ServiceFault.ACCESS_DENIED


def access_hint(error: BaseException) -> str:
    """Which key or role an operator has to look at where a service refuses us with `error`."""
    names = {base.__name__ for base in type(error).__mro__}
    if names & {"EventHubError", "KafkaError"}:
        return f"the key in {EVENTHUB_CONNECTION}, or that this identity has the role Azure Event Hubs Data Owner"
    if "CosmosHttpResponseError" in names:
        role = "Cosmos DB Built-in Data Contributor"
        return f"the key in {COSMOS_CONNECTION}, or that this identity has the role {role}"
    return f"the key in {BLOB_CONNECTION}, or that this identity has the role Storage Blob Data Contributor"


def requested_pause_s(error: BaseException) -> float:
    """For how many seconds the service asks us to stay away; 0 where it does not say."""
    headers = getattr(error, "headers", None) or {}
    asked = str(headers.get("x-ms-retry-after-ms", ""))
    return float(asked) / 1_000 if asked.isdecimal() else 0.0


def _eventhub_fault(error: EventHubError) -> ServiceFault:
    match error:
        case AuthenticationError() if _NOT_THERE in str(error):
            return ServiceFault.MISSING
        case AuthenticationError():
            return ServiceFault.UNAVAILABLE if _NOT_CONNECTED in str(error) else ServiceFault.ACCESS_DENIED
        case EventDataError():
            return ServiceFault.ITEM_REFUSED
        case ClientClosedError():
            return ServiceFault.REQUEST_REFUSED
        case _:
            return _BY_CONDITION.get(error.error or "", ServiceFault.UNAVAILABLE)


def _sub_statuses(error: HttpResponseError) -> set[object]:
    """The sub-statuses of an answer of Cosmos DB; those of a batch are of its operations."""
    operations = getattr(error, "operation_responses", None) or ()
    return {getattr(error, "sub_status", None), *(one.get("subStatusCode") for one in operations)}


def _named_fault(names: set[str]) -> ServiceFault:
    found = [fault for name, fault in _BY_NAME.items() if name in names]
    return found[0] if found else ServiceFault.UNAVAILABLE
