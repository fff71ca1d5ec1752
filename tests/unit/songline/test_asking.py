"""What the commands that ask the read API say when it does not answer as it should."""

import httpx
import pytest

from songline.asking import Refused, Unreachable, address, ask, check, decoded, visible
from songline.environment import API

REQUEST = httpx.Request("GET", "http://127.0.0.1:9/v1/songs")


def test_without_an_address_it_says_what_to_do() -> None:
    assert address({API: "http://127.0.0.1:8000"}) == "http://127.0.0.1:8000"
    with pytest.raises(Unreachable, match=r"songline up.*SONGLINE_API"):
        address({})


def test_where_nobody_listens_it_says_what_to_do() -> None:
    with httpx.Client() as client, pytest.raises(Unreachable, match=r"songline up"):
        ask(client, REQUEST)


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (503, b'{"detail": "Cosmos DB is away."}', Unreachable, "Cosmos DB is away."),
        (410, b'{"detail": "It was taken away."}', Refused, "It was taken away."),
        (500, b"<html>", Refused, "answered 500: <html>"),
        (404, b"[]", Refused, r"answered 404: \[\]"),
    ],
)
def test_a_refusal_is_told_in_the_apis_own_words(status: int, body: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check(httpx.Response(status, content=body, request=REQUEST))


def test_what_is_no_answer_of_ours_is_said() -> None:
    with pytest.raises(Refused, match="no Songline API"):
        decoded("<html>", dict)


def test_nothing_in_other_peoples_text_reaches_the_terminal_as_control() -> None:
    assert visible("a\x1b[31mb\n") == "a\ufffd[31mb\ufffd"
