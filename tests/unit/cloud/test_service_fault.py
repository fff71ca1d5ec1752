"""What an error of a service means, by the errors of the real SDKs."""

import subprocess
import sys

import pytest
from aiokafka.errors import (
    AuthenticationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError
from azure.eventhub.exceptions import (
    AuthenticationError,
    ClientClosedError,
    ConnectError,
    ConnectionLostError,
    EventDataError,
    EventDataSendError,
    EventHubError,
    OperationTimeoutError,
)
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusConnectionError,
    ServiceBusServerBusyError,
)

from songline.cloud.service_fault import ServiceFault, access_hint, fault_of, is_denied, is_transient


def answered(status: int | None) -> HttpResponseError:
    error = HttpResponseError("no")
    error.status_code = status
    return error


def amqp(kind: type[EventHubError], condition: str | None = None) -> EventHubError:
    error = kind("no")
    error.error = condition
    return error


CASES: dict[ServiceFault | None, list[BaseException]] = {
    ServiceFault.UNAVAILABLE: [
        *map(answered, (None, 302, 408, 409, 410, 412, 429, 449, 500, 503, 507)),
        CosmosHttpResponseError(status_code=503, message="no"),  # type: ignore[no-untyped-call]  # the SDK annotates nothing there
        ServiceRequestError("no"),
        amqp(ConnectError),
        amqp(ConnectError, "server-busy"),
        amqp(ConnectionLostError, "connection:forced"),
        amqp(ConnectionLostError, "link:detach-forced"),
        amqp(EventDataSendError, "internal-error"),
        amqp(EventDataSendError, "resource-limit-exceeded"),
        amqp(OperationTimeoutError),
        ServiceBusConnectionError(message="no"),
        ServiceBusServerBusyError(message="no"),
        KafkaConnectionError("no"),
    ],
    ServiceFault.ACCESS_DENIED: [
        answered(401),
        answered(403),
        ClientAuthenticationError("no"),
        amqp(AuthenticationError),
        amqp(ConnectionLostError, "unauthorized-access"),
        ServiceBusAuthenticationError(message="no"),
        ServiceBusAuthorizationError(message="no"),
        AuthenticationFailedError("no"),
        GroupAuthorizationFailedError("no"),
        TopicAuthorizationFailedError("no"),
    ],
    ServiceFault.MISSING: [
        answered(404),
        amqp(ConnectionLostError, "not-found"),
        amqp(ConnectError, "entity-disabled"),
        MessagingEntityDisabledError(message="no"),
        MessagingEntityNotFoundError(message="no"),
    ],
    ServiceFault.REQUEST_REFUSED: [
        answered(405),
        answered(416),
        CosmosHttpResponseError(status_code=403, message="20 GB", sub_status=1014),  # type: ignore[no-untyped-call]  # as above
        CosmosBatchOperationError(  # type: ignore[no-untyped-call]  # as above
            error_index=1,
            headers={},
            status_code=403,
            message="no",
            operation_responses=[{"statusCode": 424}, {"statusCode": 403, "subStatusCode": 1014}],
        ),
        amqp(ClientClosedError),
        amqp(EventDataSendError, "not-allowed"),
    ],
    ServiceFault.ITEM_REFUSED: [
        answered(400),
        answered(413),
        amqp(EventDataError),
        amqp(EventDataSendError, "link:message-size-exceeded"),
        MessageSizeExceededError(message="no"),
        MessageSizeTooLargeError("no"),
    ],
    None: [OSError("no"), ValueError("no"), TimeoutError(), KeyboardInterrupt()],
}


@pytest.mark.parametrize(
    ("error", "fault"),
    [pytest.param(error, fault, id=f"{error!r:.60}") for fault, errors in CASES.items() for error in errors],
)
def test_what_an_error_means(error: BaseException, fault: ServiceFault | None) -> None:
    assert fault_of(error) is fault
    assert is_transient(error) is (fault is ServiceFault.UNAVAILABLE)
    assert is_denied(error) is (fault is ServiceFault.ACCESS_DENIED)


@pytest.mark.parametrize(
    ("error", "setting", "role"),
    [
        (CosmosHttpResponseError(status_code=403, message="no"), "AZURE_COSMOS_CONNECTIONSTRING", "Cosmos DB Built-in"),  # type: ignore[no-untyped-call]  # as above
        (AuthenticationError("no"), "AZURE_EVENTHUB_CONNECTIONSTRING", "Azure Event Hubs Data Owner"),
        (AuthenticationFailedError("no"), "AZURE_EVENTHUB_CONNECTIONSTRING", "Azure Event Hubs Data Owner"),
        (ClientAuthenticationError("no"), "AZURE_STORAGEBLOB_CONNECTIONSTRING", "Storage Blob Data Contributor"),
    ],
)
def test_an_operator_reads_which_key_or_role_to_look_at(error: Exception, setting: str, role: str) -> None:
    assert setting in access_hint(error)
    assert role in access_hint(error)


def test_a_hub_that_is_away_over_websockets_refuses_nobody() -> None:
    """The SDK reports it as an error of authentication: `findings/eventhub-websocket-away-is-no-denial.sh`."""
    words = "Failed to authenticate the connection due to exception: Cannot connect to host 127.0.0.1:1 ssl:default"
    assert fault_of(AuthenticationError(words)) is ServiceFault.UNAVAILABLE
    assert fault_of(AuthenticationError("CBS Token authentication failed.")) is ServiceFault.ACCESS_DENIED


def test_no_sdk_but_that_of_event_hubs_is_needed() -> None:
    """A service that only publishes events installs no other."""
    code = (
        "import sys; import songline.cloud.retry; "
        "print(*{'aiokafka', 'azure.cosmos', 'azure.servicebus', 'azure.storage'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
