"""What a command says of several errors at once."""

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
    ("errors", "words", "code"),
    [
        ([AWAY], "a service can't be reached: ServiceRequestError: nobody listens", 3),
        ([AWAY, REFUSED], "it is built by another process.", 2),
        ([AWAY, NOT_BY_TOKEN], "there is no container charts-v2: expected it from who manages the account.", 2),
        ([AWAY, POISON], "a stored document can't be understood", 2),
        ([POISON, AWAY, REFUSED], "it is built by another process.", 2),
    ],
)
def test_what_the_user_can_mend_is_said_first(errors: list[BaseException], words: str, code: int) -> None:
    found = failure_of(errors, {})
    assert found is not None
    assert words in str(found)
    assert found.exit_code == code


def test_an_error_of_no_known_kind_is_not_hidden_by_others() -> None:
    assert failure_of([REFUSED, ValueError("a fault of the program")], {}) is None
