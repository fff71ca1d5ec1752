"""Refusals as problem documents: of callers, of what they may not do, and of what the write API declines."""

from starlette.responses import Response

from songline.identity.caller import CallerRefusal, RefusalReason
from songline.identity.key_cache import BETWEEN_S
from songline.producers.http.problems import RequestDeclinedError
from songline.projections.http.problems import Fault, Problem, answer, refused
from songline.schemas.errors import ContractViolationError
from songline.schemas.permission import NotPermittedError

CHALLENGE = "WWW-Authenticate"


def refusal(error: RequestDeclinedError | ContractViolationError | NotPermittedError) -> Response:
    """What the write API refuses, as the read API's problem document."""
    if isinstance(error, NotPermittedError):
        return _challenged(Problem("Not allowed", 403, error.detail), error.challenge)
    if isinstance(error, RequestDeclinedError):
        return answer(Problem(error.title, error.status, error.detail), error.retry_after)
    seen = error.violation
    return refused(400, "Bad request", (Fault(seen.field, seen.value, seen.rule),))


def refused_caller(refusal: CallerRefusal) -> Response:
    """The answer to a request without a good token, or with one that lacks a scope. Why a token is bad is not told."""
    match refusal.reason:
        case RefusalReason.ISSUER_UNAVAILABLE:
            detail = "The issuer's keys can't be read, and without them no token can be checked. Ask again."
            return answer(Problem("Callers can't be checked now", 503, detail), BETWEEN_S)
        case RefusalReason.MISSING:
            detail = "Authorization: saw nothing, expected Bearer and an access token. `songline token` prints one."
            problem = Problem("Who calls?", 401, detail)
        case RefusalReason.SCOPE:
            detail = f"The token lacks a scope: expected {' or '.join(refusal.needed)}."
            problem = Problem("Not allowed", 403, detail)
        case _:
            detail = "Authorization: saw no token that is good here, expected Bearer and one of this API's issuer, for "
            detail += "this API, that is not over. Get a new one."
            problem = Problem("Token refused", 401, detail)
    return _challenged(problem, refusal.challenge or "")


def _challenged(problem: Problem, challenge: str) -> Response:
    response = answer(problem)
    response.headers[CHALLENGE] = challenge
    return response
