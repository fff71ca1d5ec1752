"""What a command about versions says of an error."""

import pytest
from azure.core.exceptions import ServiceRequestError

from songline.cloud.cosmos import NotByTokenError
from songline.processors.history.rebuild.lease import RebuildRefusedError
from songline.schemas.errors import PoisonError
from songline.versioning import failure_of

AWAY = ServiceRequestError("nobody listens")
REFUSED = RebuildRefusedError("it is built by another process")
POISON = PoisonError("broken-contract", "version: expected a number")
NOT_BY_TOKEN = NotByTokenError(403, "there is no container charts-v2: expected it from who manages the account")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (AWAY, "a service can't be reached: ServiceRequestError: nobody listens", 3),
        (REFUSED, "it is built by another process.", 2),
        (NOT_BY_TOKEN, "there is no container charts-v2: expected it from who manages the account.", 2),
        (POISON, "a stored document can't be understood", 2),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(error: Exception, words: str, code: int) -> None:
    found = failure_of(error, {})
    assert found is not None
    assert words in str(found)
    assert found.exit_code == code


def test_an_error_of_no_known_kind_is_not_hidden() -> None:
    assert failure_of(ValueError("a fault of the program"), {}) is None
