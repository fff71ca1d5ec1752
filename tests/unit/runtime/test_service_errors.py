"""What is told of an error: the line that says what happened."""

import pytest
from azure.core.exceptions import AzureError, HttpResponseError
from azure.eventhub.exceptions import AuthenticationError

from songline.processors.runtime.service_errors import ItemRefusedError, last_line

THROTTLED = """(TooManyRequests) Message: {"Errors":["Request rate is large."]}
ActivityId: f0620611-6151-4ff0-909f-5a8b866e604e , Sub Status: 3200
Code: TooManyRequests"""


@pytest.mark.parametrize("kind", [AzureError, ItemRefusedError])
def test_what_a_service_says_is_told_and_not_the_id_of_the_request(kind: type[Exception]) -> None:
    assert last_line(kind(THROTTLED)).endswith('Message: {"Errors":["Request rate is large."]}')


def test_more_than_the_status_is_told() -> None:
    """Cosmos DB's SDK puts the status into a line of its own, in front."""
    told = last_line(HttpResponseError(f"Status code: 429\n{THROTTLED}"))
    assert told.startswith("HttpResponseError: (TooManyRequests)")
    assert last_line(HttpResponseError("Status code: 429")) == "HttpResponseError: Status code: 429"


def test_the_reason_why_a_token_was_refused_is_told() -> None:
    words = "CBS Token authentication failed.\nStatus code: 404\nDescription: The messaging entity 'a' is not there."
    assert last_line(AuthenticationError(words)) == "AuthenticationError: The messaging entity 'a' is not there."


def test_the_last_line_of_any_other_error_is_told() -> None:
    assert last_line(ValueError("in column 3\nno number")) == "ValueError: no number"
    assert last_line(KeyError()) == "KeyError"
