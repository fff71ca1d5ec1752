"""What a command says of a service that fails, by the errors of the real SDKs."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import UnknownTopicOrPartitionError
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError
from azure.eventhub.exceptions import AuthenticationError, ConnectError
from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusAuthenticationError

from songline.service_failures import service_failure

OF_TOKEN = "CBS Token authentication failed.\nStatus code: 404\nDescription: {}\nError: unauthorized-access"
NO_HUB = "The messaging entity 'sb://ns.servicebus.windows.net/music-events' could not be found."


def answered(status: int, url: str, code: str | None = None) -> HttpResponseError:
    """An answer of Blob Storage."""
    error = HttpResponseError("no")
    error.status_code = status
    vars(error).update(error_code=code)
    error.response = SimpleNamespace(request=SimpleNamespace(url=url))
    return error


def of_cosmos(kind: type[CosmosHttpResponseError], status: int, path: str) -> CosmosHttpResponseError:
    response: Any = SimpleNamespace(
        status_code=status, reason="no", headers={}, request=SimpleNamespace(url=f"https://a.documents.azure.com{path}")
    )
    return kind(status, '{"code":"NotFound"}', response)


def hidden(inner: str) -> ServiceBusAuthenticationError:
    error = ServiceBusAuthenticationError(message="CBS Token authentication failed.")
    error.inner_exception = ValueError(inner)
    return error


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (ServiceRequestError("nobody listens"), "a service can't be reached: ServiceRequestError: nobody listens\n", 3),
        (ConnectError("nobody listens"), "a service can't be reached: ConnectError: nobody listens\n", 3),
        (answered(503, "https://a.blob.core.windows.net/archive"), "Blob Storage has no answer at the moment: ", 3),
        (
            of_cosmos(CosmosResourceNotFoundError, 404, "/dbs/songline/colls/charts-v2/docs/x"),
            "Cosmos DB has no container charts-v2 in the database songline: `songline doctor`",
            2,
        ),
        (of_cosmos(CosmosHttpResponseError, 429, "/dbs/songline/colls/charts"), "Cosmos DB has no answer at the", 3),
        (of_cosmos(CosmosHttpResponseError, 403, "/dbs/songline/colls/charts"), "Cosmos DB refuses us: ", 2),
        (of_cosmos(CosmosHttpResponseError, 400, "/dbs/songline/colls/charts"), "Cosmos DB refuses what was asked", 2),
        (
            answered(404, "https://a.blob.core.windows.net/archive?restype=container", "ContainerNotFound"),
            "Blob Storage has no container archive: `songline doctor`",
            2,
        ),
        (
            answered(404, "http://127.0.0.1:10000/devstoreaccount1/archive/a.avro", "ContainerNotFound"),
            "Blob Storage has no container archive: `songline doctor`",
            2,
        ),
        (
            answered(404, "https://a.blob.core.windows.net/archive/a.avro", "BlobNotFound"),
            "Blob Storage lacks what was asked for: ",
            2,
        ),
        (AuthenticationError(OF_TOKEN.format(NO_HUB)), "Event Hubs has no hub music-events: `songline doctor`", 2),
        (
            AuthenticationError(OF_TOKEN.format("The messaging entity 'music-events/Partitions/0' could not be found")),
            "Event Hubs has no hub music-events: `songline doctor`",
            2,
        ),
        (AuthenticationError("CBS Token authentication failed.\nStatus code: 401"), "Event Hubs refuses us: ", 2),
        (ClientAuthenticationError("no"), "see the key in AZURE_STORAGEBLOB_CONNECTIONSTRING", 2),
        (
            MessagingEntityNotFoundError(message="The messaging entity 'song-commands' could not be found"),
            "Service Bus has no queue song-commands: `songline doctor`",
            2,
        ),
        (hidden(OF_TOKEN.format("The messaging entity 'song-commands' could")), "no queue song-commands: ", 2),
        (UnknownTopicOrPartitionError("the namespace has no hub a: look"), "the namespace has no hub a: look", 2),
    ],
)
def test_what_is_wrong_is_said_and_nothing_else(error: BaseException, words: str, code: int) -> None:
    found = service_failure(error, {})
    assert words in str(found)
    assert found.exit_code == code
    assert ("can't be reached" in str(found)) is ("nobody listens" in words)
