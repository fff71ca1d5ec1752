"""A service that refuses us is told apart from one that is away."""

import pytest
from aiokafka.errors import (
    AuthenticationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.eventhub.exceptions import AuthenticationError, ConnectError
from azure.servicebus.exceptions import ServiceBusAuthorizationError, ServiceBusConnectionError

from songline.processors.runtime.access import denies


def answered(status: int) -> HttpResponseError:
    error = HttpResponseError("no")
    error.status_code = status
    return error


@pytest.mark.parametrize(
    "error",
    [
        answered(401),
        answered(403),
        ClientAuthenticationError("no"),
        AuthenticationError("no"),
        ServiceBusAuthorizationError(message="no"),
        AuthenticationFailedError("no"),
        TopicAuthorizationFailedError("no"),
        GroupAuthorizationFailedError("no"),
    ],
)
def test_it_refuses_us(error: Exception) -> None:
    assert denies(error)


@pytest.mark.parametrize(
    "error",
    [
        answered(404),
        answered(503),
        ServiceRequestError("no"),
        ConnectError("no"),
        ServiceBusConnectionError(message="no"),
        KafkaConnectionError("no"),
        OSError("no"),
    ],
)
def test_it_is_away(error: Exception) -> None:
    assert not denies(error)
