"""The client of the read API for the commands: its address, its requests and its errors."""

import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import click
import httpx
from msgspec import Struct

from songline.processes.environment import API
from songline.schemas.decoding import Decoder, excerpt
from songline.schemas.errors import PoisonError
from songline.schemas.texts import encodable
from songline.schemas.types import ID_PATTERN, PATTERNS

T = TypeVar("T")


class _ProblemBody(Struct):
    detail: str


_ID = re.compile(ID_PATTERN)
_problems = Decoder(_ProblemBody, "not-an-answer")


PAST_S = 900
"""How long an answer about the past may take, which is folded from the archive; the API sets its own limit."""


class ApiRefusalError(click.ClickException):
    """The API refuses the request. The message is the `detail` of its answer, which says what to change. The exit code
    is 2 for what was wrong in the command, as for an option that is."""

    def __init__(self, message: str, *, is_usage: bool = False) -> None:
        super().__init__(message)
        self.exit_code = 2 if is_usage else 1


class ApiUnreachableError(click.ClickException):
    """No API answers, or it can't at the moment. The operator starts one, sets its address, or waits."""

    exit_code = 3


def address(environ: Mapping[str, str]) -> str:
    """The address of the read API; raises ApiUnreachableError when the environment has none."""
    if API not in environ:
        raise ApiUnreachableError(f"no API is known: start one with `songline up`, or set {API}, or use --api URL")
    return environ[API]


def id_in_path(text: str, name: str) -> str:
    """`text`, the value of the argument `name`, for use in a path; raises ApiRefusalError when it is no valid id.

    Quoting is not enough: clients resolve `..` in a path.
    """
    if _ID.search(text) is None:
        saw = f"{name}: saw {excerpt(encodable(text))!r}"
        raise ApiRefusalError(f"{saw}, expected {PATTERNS[ID_PATTERN]}.", is_usage=True)
    return text


def ask(client: httpx.Client, request: httpx.Request) -> str:
    """Send the request and return the response's text. Raises ApiRefusalError and ApiUnreachableError."""
    try:
        answer = client.send(request)
    except httpx.TransportError as error:
        raise unreachable(request, error) from None
    check(answer)
    return answer.text


def check(answer: httpx.Response) -> None:
    """Raise ApiUnreachableError for the statuses 429 and 503, which pass by themselves, and ApiRefusalError for any
    other one outside 200 to 299.

    The body of `answer` must have been read.
    """
    if answer.status_code in (429, 503):
        raise ApiUnreachableError(words(answer))
    if not answer.is_success:
        raise ApiRefusalError(words(answer), is_usage=answer.status_code == 400)


def unreachable(request: httpx.Request, error: httpx.TransportError) -> ApiUnreachableError:
    """The error to raise when `request` failed with `error`."""
    return ApiUnreachableError(
        f"{request.url} can't be reached ({error}): start the system with `songline up`, or use --api URL"
    )


def decoded(text: str, kind: type[T]) -> T:
    """`text` decoded from JSON as `kind`; raises ApiRefusalError when it doesn't have that form."""
    try:
        return Decoder(kind, "not-an-answer").decode(text)
    except PoisonError as poison:
        raise ApiRefusalError(f"what answers is no Songline API: {poison.detail}") from None


def segment(text: str) -> str:
    """`text` quoted as one segment of a path; `/` and `.` are quoted too, so it can't name another path."""
    return quote(text, safe="").replace(".", "%2E")


def echo_json(text: str) -> None:
    """Print a response's JSON in UTF-8, independent of the terminal's encoding, with control characters escaped."""
    characters = (one if one.isprintable() or one in "\r\n\t" else _escaped(one) for one in text)
    click.echo("".join(characters).encode())


def _escaped(character: str) -> str:
    pairs = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[at] << 8 | pairs[at + 1]:04x}" for at in range(0, len(pairs), 2))


def visible(text: str) -> str:
    """`text` for a terminal: each character that is not printable is replaced by U+FFFD."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def words(answer: httpx.Response) -> str:
    """The `detail` of a problem, or else the status and the first 200 characters of the body."""
    try:
        return visible(_problems.decode(answer.content).detail)
    except PoisonError:
        return f"{answer.request.url} answered {answer.status_code}: {visible(answer.text[:200])}"
