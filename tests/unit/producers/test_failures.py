"""What passes by itself is tried again; what doesn't is named after who must act."""

import pytest
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

from songline.cloud.service_fault import is_transient
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.producers.publishing.hub_errors import translate


def sdk_error(kind: type[EventHubError], condition: str | None = None) -> EventHubError:
    error = kind("told")
    error.error = condition
    return error


@pytest.mark.parametrize(
    "error",
    [
        sdk_error(ConnectError),
        sdk_error(ConnectionLostError, "connection:forced"),
        sdk_error(ConnectionLostError, "link:detach-forced"),
        sdk_error(ConnectError, "server-busy"),
        sdk_error(EventDataSendError, "internal-error"),
        sdk_error(EventDataSendError, "resource-limit-exceeded"),
        sdk_error(OperationTimeoutError),
    ],
)
def test_what_passes(error: EventHubError) -> None:
    assert is_transient(error)
    assert isinstance(translate(error, "music-events", 60), TransientError)


@pytest.mark.parametrize(
    "error",
    [
        sdk_error(AuthenticationError),
        sdk_error(ClientClosedError),
        sdk_error(EventDataError),
        sdk_error(EventDataSendError, "link:message-size-exceeded"),
        sdk_error(ConnectionLostError, "not-found"),
        sdk_error(ConnectionLostError, "unauthorized-access"),
        sdk_error(ConnectError, "entity-disabled"),
    ],
)
def test_what_stays(error: EventHubError) -> None:
    assert not is_transient(error)
    assert isinstance(translate(error, "music-events", 60), AccessDeniedError)


def test_other_errors_are_bugs_and_stay_as_they_are() -> None:
    error = ValueError("ours")
    assert not is_transient(error)
    assert translate(error, "music-events", 1) is error


def test_the_message_says_what_was_seen_once() -> None:
    error = EventHubError("Connect call failed\nError condition: x Error Description: Connect call failed")
    assert str(translate(error, "music-events", 3)) == (
        "music-events: saw 'Connect call failed' for 3 s, expected an acknowledgement: try again later"
    )
