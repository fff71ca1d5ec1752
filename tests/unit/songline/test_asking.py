"""What the commands that ask the read API say when it does not answer as it should."""

import subprocess
import sys

import click
import httpx
import pytest
from click.testing import CliRunner

from songline.api_client import ApiRefusalError, ApiUnreachableError, address, ask, check, decoded, visible
from songline.commands import ingestion, library
from songline.processes.environment import API

REQUEST = httpx.Request("GET", "http://127.0.0.1:9/v1/songs")


def test_without_an_address_it_says_what_to_do() -> None:
    assert address({API: "http://127.0.0.1:8000"}) == "http://127.0.0.1:8000"
    with pytest.raises(ApiUnreachableError, match=r"songline up.*SONGLINE_API"):
        address({})


def test_where_nobody_listens_it_says_what_to_do() -> None:
    with httpx.Client() as client, pytest.raises(ApiUnreachableError, match=r"songline up"):
        ask(client, REQUEST)


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (503, b'{"detail": "Cosmos DB is away."}', ApiUnreachableError, "Cosmos DB is away."),
        (410, b'{"detail": "It was taken away."}', ApiRefusalError, "It was taken away."),
        (500, b"<html>", ApiRefusalError, "answered 500: <html>"),
        (404, b"[]", ApiRefusalError, r"answered 404: \[\]"),
    ],
)
def test_a_refusal_is_told_in_the_apis_own_words(status: int, body: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check(httpx.Response(status, content=body, request=REQUEST))


@pytest.mark.parametrize(("status", "code"), [(400, 2), (401, 1), (404, 1), (409, 1), (500, 1), (503, 3)])
def test_what_was_wrong_in_the_command_has_the_exit_code_of_wrong_usage(status: int, code: int) -> None:
    with pytest.raises(click.ClickException) as caught:
        check(httpx.Response(status, content=b'{"detail": "q: saw nothing"}', request=REQUEST))
    assert caught.value.exit_code == code


def test_what_is_no_answer_of_ours_is_said() -> None:
    with pytest.raises(ApiRefusalError, match="no Songline API"):
        decoded("<html>", dict)


def test_nothing_in_other_peoples_text_reaches_the_terminal_as_control() -> None:
    assert visible("a\x1b[31mb\n") == "a\ufffd[31mb\ufffd"


@pytest.mark.parametrize("typed", ["", ".", "..", "x/../y", "a b", "ana\n", "%2e%2e", "ä", "\udcff", "x" * 129])
@pytest.mark.parametrize("command", [library.command, ingestion.command], ids=["library", "ingestion"])
def test_what_is_no_id_is_asked_of_nobody(command: click.Command, typed: str) -> None:
    done = CliRunner().invoke(command, [typed, "--api", "http://127.0.0.1:9"])
    assert done.exit_code == 2
    assert "expected 1 to 128 characters" in " ".join(done.output.split())


@pytest.mark.parametrize("body", [b'{"detail": "\xff"}', b'{"detail": "\\ud800"}', b"[" * 5_000, b'{"detail": 7}'])
def test_whatever_is_answered_can_be_shown(body: bytes) -> None:
    with pytest.raises(ApiRefusalError, match="answered 500") as caught:
        check(httpx.Response(500, content=body, request=REQUEST))
    assert str(caught.value).isprintable()


def test_a_detail_moves_no_cursor() -> None:
    with pytest.raises(ApiRefusalError) as caught:
        check(httpx.Response(404, content=b'{"detail": "no \\u001b[2J\\u202e song"}', request=REQUEST))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("command", ["chart", "library", "songs"])
def test_a_command_that_asks_the_api_starts_without_the_sdks_of_services(command: str) -> None:
    """They take longer to import than an answer takes."""
    code = (
        f"import sys; import songline.commands.{command}; "
        "print(*{name for name in sys.modules if name.partition('.')[0] in ('aiokafka', 'azure', 'numpy')})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
