"""How commands reach the API, and what its answers mean for them."""

import httpx
import pytest
from click.testing import CliRunner

from songline.api_client import ApiRefusalError, ApiUnreachableError, check
from songline.cli import main


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "http://songline.example:port", "localhost:8000", "ftp://songline.example", "http://", "\ud800"],
)
def test_what_is_no_address_is_told(address: str) -> None:
    result = CliRunner().invoke(main, ["songs", "--api", address])
    assert result.exit_code == 2, result.output
    assert "expected an address such as http://127.0.0.1:8000" in result.output


def test_a_password_in_it_is_not_shown() -> None:
    result = CliRunner(env={"SONGLINE_API": "http://ada:secret@[::1"}).invoke(main, ["songs"])
    assert result.exit_code == 2, result.output
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (503, ApiUnreachableError, 3),
        (429, ApiUnreachableError, 3),
        (404, ApiRefusalError, 1),
        (400, ApiRefusalError, 2),
    ],
)
def test_what_passes_by_itself_is_no_refusal(status: int, kind: type[ApiRefusalError], code: int) -> None:
    answer = httpx.Response(status, json={"detail": "so it is"}, request=httpx.Request("GET", "http://127.0.0.1:9/"))
    with pytest.raises(kind, match="so it is") as caught:
        check(answer)
    assert caught.value.exit_code == code
