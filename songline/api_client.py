"""What the commands that ask the read API have in common: where it is, and what its refusals mean."""

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


class ApiRefusalError(click.ClickException):
    """The API has no such thing, or not yet. Its own words say what to change."""


class ApiUnreachableError(click.ClickException):
    """No API answers. The operator starts one, or says where it is."""

    exit_code = 3


def address(environ: Mapping[str, str]) -> str:
    """Where the read API is; raises ApiUnreachableError when nothing says so."""
    if API not in environ:
        raise ApiUnreachableError(f"no API is known: start one with `songline up`, or set {API}, or use --api URL")
    return environ[API]


def id_in_path(text: str, name: str) -> str:
    """`text`, which somebody typed as `name`, as one part of a path; raises ApiRefusalError for what can be no id.

    Quoting is not enough: of a path that has `..` in it another one is made.
    """
    if _ID.search(text) is None:
        raise ApiRefusalError(f"{name}: saw {excerpt(encodable(text))!r}, expected {PATTERNS[ID_PATTERN]}.")
    return text


def ask(client: httpx.Client, request: httpx.Request) -> str:
    """The answer's text. Raises ApiRefusalError and ApiUnreachableError."""
    try:
        answer = client.send(request)
    except httpx.TransportError as error:
        raise unreachable(request, error) from None
    check(answer)
    return answer.text


def check(answer: httpx.Response) -> None:
    """Raises ApiRefusalError or ApiUnreachableError for what is no success. The answer is read."""
    if answer.status_code == 503:
        raise ApiUnreachableError(words(answer))
    if not answer.is_success:
        raise ApiRefusalError(words(answer))


def unreachable(request: httpx.Request, error: httpx.TransportError) -> ApiUnreachableError:
    return ApiUnreachableError(
        f"{request.url} can't be reached ({error}): start the system with `songline up`, or use --api URL"
    )


def decoded(text: str, kind: type[T]) -> T:
    """Raises ApiRefusalError."""
    try:
        return Decoder(kind, "not-an-answer").decode(text)
    except PoisonError as poison:
        raise ApiRefusalError(f"what answers is no Songline API: {poison.detail}") from None


def segment(text: str) -> str:
    """One part of a path, whatever somebody types: neither `/` nor `..` leads to another place."""
    return quote(text, safe="").replace(".", "%2E")


def echo_json(text: str) -> None:
    """Print an answer: the same JSON, in UTF-8 whatever the terminal's encoding, without a sign that moves a cursor."""
    signs = (sign if sign.isprintable() or sign in "\r\n\t" else _escaped(sign) for sign in text)
    click.echo("".join(signs).encode())


def _escaped(sign: str) -> str:
    pairs = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[at] << 8 | pairs[at + 1]:04x}" for at in range(0, len(pairs), 2))


def visible(text: str) -> str:
    """Other people's text for a terminal: nothing in it is a control character."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def words(answer: httpx.Response) -> str:
    """The `detail` of a problem, or what else was answered."""
    try:
        return visible(_problems.decode(answer.content).detail)
    except PoisonError:
        return f"{answer.request.url} answered {answer.status_code}: {visible(answer.text[:200])}"
