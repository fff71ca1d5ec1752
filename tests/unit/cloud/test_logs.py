"""Log lines in which no key, token or signature is to be read, whoever has put it there."""

import io
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.cloud.logs import STARS, MaskedFormatter, masked
from tests.support import tokens

KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
PLAYERS = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    "text",
    [
        f"AccountEndpoint=https://a.example/;AccountKey={KEY};",
        f"Endpoint=sb://a/;SharedAccessKeyName=Root;SharedAccessKey={KEY};EntityPath=x",
        f"SharedAccessSignature sr=sb%3A%2F%2Fa&sig={KEY}&se=1&skn=Root",
        f"https://a.blob.core.windows.net/songs/x?sv=2021-06-08&sp=r&sig={KEY}",
        f"type%3Dmaster%26ver%3D1.0%26sig%3D{KEY}",
        f"Authorization: SharedKey devstoreaccount1:{KEY}",
        f"{{'Authorization': 'Bearer {KEY}', 'Accept': '*/*'}}",
        f'{{"access_token": "{KEY}", "refresh_token":"{KEY}"}}',
        f"grant_type=refresh_token&refresh_token={KEY}&client_secret={KEY}",
        f"Authorization: Basic {KEY}",
        f"Authorization: Token {PLAYERS}",
        f"GET /rest/ping?u=ada&apiKey={PLAYERS}&f=json",
        f"Authorization: Bearer {tokens.token()}",
        f"the token {tokens.token()} is none",
    ],
)
def test_what_opens_something_is_stars(text: str) -> None:
    shown = masked(text)
    assert KEY[:12] not in shown
    assert PLAYERS not in shown
    assert "eyJ" not in shown
    assert STARS in shown


@pytest.mark.parametrize(
    "text",
    [
        "saw partition_key=user-7, expected a token of this issuer",
        "SharedAccessKeyName=RootManageSharedAccessKey",
        "AZURE_COSMOS_CONNECTIONSTRING: saw nothing, expected a connection string",
        "GET /v1/users/{user_id}/library: internal error",
        "refused within 60 s: 12 x 401 expired (nobody) GET /v1/parked",
        "the bearer of a token has no scope: basic words stay",
        "design: sigma=1, key: value",
        "SONGLINE_CLIENT_SECRET: saw nothing, expected the secret of the client",
        "the attribute tokens_of_players_that_are_known2 is missing",
        "Basic authentication-is-not-taken here",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert masked(text) == text


@given(st.text())
def test_any_text_is_masked_once(text: str) -> None:
    assert masked(masked(text)) == masked(text)


def test_a_traceback_is_masked_too() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(MaskedFormatter("%(message)s"))
    logger = logging.getLogger("tests.masked")
    logger.addHandler(handler)
    try:
        raise RuntimeError(f"AccountKey={KEY}")
    except RuntimeError:
        logger.exception("failed with Bearer %s", KEY)
    finally:
        logger.removeHandler(handler)
    assert "RuntimeError: AccountKey=***" in out.getvalue()
    assert KEY not in out.getvalue()


ENDS = """
import logging
from songline.cloud.logs import log_to_stderr

log_to_stderr(logging.INFO)
logging.info("AccountKey=%s", KEY)
raise RuntimeError(f"AccountKey={KEY}")
"""


def test_an_error_that_ends_a_process_is_masked() -> None:
    command = [sys.executable, "-c", f"KEY = {KEY!r}{ENDS}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("INFO root: AccountKey=***\nTraceback (most recent call last):\n")
    assert ended.stderr.endswith("RuntimeError: AccountKey=***\n")
    assert KEY not in ended.stderr
