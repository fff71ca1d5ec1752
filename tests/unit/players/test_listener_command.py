"""`songline listener`: what it refuses before it asks a service."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from songline.cli import main
from songline.cloud.settings import COSMOS_CONNECTION

ACCOUNT = "AccountEndpoint=http://127.0.0.1:9/;AccountKey=a2V5"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["token", "user 7"], "USER: saw 'user 7'"),
        (["token", "user-7", "--player", " "], "expected a name of 1 to 64"),
        (["token", "user-7", "--player", "x" * 65], "saw 65 characters"),
        (["token", "user-7", "--scope", "admin"], "'admin' is not one of"),
        (["token", "user-7", "--salted"], "SONGLINE_TOKEN_KEY: saw nothing"),
        (["revoke", "user-7"], "or say --all"),
        (["revoke", "user-7", "abc123", "--all"], "or say --all"),
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    environ = {"SONGLINE_DATA": str(tmp_path), COSMOS_CONNECTION: ACCOUNT, "SONGLINE_TOKEN_KEY": ""}
    result = CliRunner().invoke(main, ["listener", *arguments], env=environ, standalone_mode=False)
    shown = result.output + str(getattr(result.exception, "message", ""))
    assert message in shown
    assert getattr(result.exception, "exit_code", None) == 2
