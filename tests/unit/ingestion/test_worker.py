"""What the pump makes of messages and of errors, without a wire."""

import errno

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.eventhub.exceptions import AuthenticationError, ConnectError

from cloud.settings import BadSetting
from processors.ingestion.decide import CommandRefused
from processors.ingestion.dials import Dials
from processors.ingestion.sandbox import ProbeFailed
from processors.ingestion.worker import is_passing


def status(code: int) -> HttpResponseError:
    error = HttpResponseError("said no")
    error.status_code = code
    return error


@pytest.mark.parametrize(
    "error",
    [
        status(429),
        status(503),
        status(403),
        status(404),
        ClientAuthenticationError("who are you"),
        AuthenticationError("who are you"),
        ServiceRequestError("no route"),
        ConnectError("the hub is away"),
        OSError(errno.ENOSPC, "disk full"),
    ],
)
def test_what_passes_by_itself_is_waited_for(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        status(400),
        status(413),
        OSError(errno.EACCES, "not yours"),
        ProbeFailed("no answer"),
        CommandRefused("unknown-song", "no such song"),
        RuntimeError("a bug"),
    ],
)
def test_what_does_not_pass_costs_a_delivery(error: Exception) -> None:
    assert not is_passing(error)


def test_dials_are_read_from_the_environment() -> None:
    assert Dials.read({"SONGLINE_INGESTION_LANES": "2"}).lanes == 2
    assert Dials.read({}) == Dials()
    for wrong in ("0", "many", "65"):
        with pytest.raises(BadSetting, match=r"SONGLINE_INGESTION_LANES.* from 1 to 64"):
            Dials.read({"SONGLINE_INGESTION_LANES": wrong})
