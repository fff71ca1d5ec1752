"""Error answers. Source: RFC 9457, "Problem Details for HTTP APIs"."""

import msgspec
from msgspec import Struct, structs
from starlette.responses import Response

from songline.projections.http.browser_headers import BROWSER_HEADERS
from songline.schemas.decoding import excerpt

MEDIA_TYPE = "application/problem+json"


class Fault(Struct, frozen=True):
    """One value that the caller has to change: its field, the value that was seen, the rule that it breaks."""

    field: str
    value: str
    rule: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """An error answer. `detail` says what was seen, what was expected and what to do. `age` is that of an answer which
    would be older than `maxStaleness`, in seconds; it is absent from other errors, and where the age is unknown."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    errors: tuple[Fault, ...] = ()
    age: float | None = None


def answer(problem: Problem, retry_after: int | None = None) -> Response:
    """The problem as a response; `retry_after` is in seconds."""
    # The detail may quote the request. Control characters in it must not reach a terminal.
    problem = structs.replace(problem, detail=excerpt(problem.detail, len(problem.detail) * 10))
    # Also of an answer that no layer sees, because a layer failed.
    headers = {**BROWSER_HEADERS, "Cache-Control": "no-store"} | (
        {} if retry_after is None else {"Retry-After": str(retry_after)}
    )
    return Response(msgspec.json.encode(problem), problem.status, headers, MEDIA_TYPE)


def refused(status: int, title: str, faults: tuple[Fault, ...]) -> Response:
    """The answer to a request whose values break rules."""
    detail = "; ".join(f"{fault.field}: saw {fault.value}, expected {fault.rule}" for fault in faults)
    return answer(Problem(title=title, status=status, detail=detail, errors=faults))
