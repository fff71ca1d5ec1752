"""What the OpenAPI document says of tokens: the scheme, and the scopes of each operation."""

from typing import Any

from fastapi import FastAPI

from songline.api.operations import OPERATIONS, Group, Operation
from songline.projections.http.openapi import PROBLEM

SCHEME = "bearer"
_SCHEMES = {
    SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of this API's issuer. Of two scopes that an operation names, one is enough: "
        "the first for what is the subject's own, the second for everybody's",
    }
}
_WORDS = {
    "401": "No token, or one that is not good here; `WWW-Authenticate` says so (RFC 6750)",
    "403": "The token lacks a scope, or is about another listener; `WWW-Authenticate` names the scope that would do",
    "503": "The issuer's keys can't be read; `Retry-After` says when to ask again",
}


def describe(app: FastAPI, opened: frozenset[Group]) -> None:
    """Add the tokens that `app` asks for to its document; `opened` are the groups that need none."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["components"]["securitySchemes"] = _SCHEMES
        for path, operations in document["paths"].items():
            for method, described in operations.items():
                described["security"] = _security(OPERATIONS[method.upper(), path], opened)
                for status, words in _WORDS.items():
                    described["responses"].setdefault(status, {"description": words, **PROBLEM})
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _security(operation: Operation, opened: frozenset[Group]) -> list[dict[str, list[str]]]:
    """Alternatives, of which one has to be met; an empty one needs no token (OpenAPI 3.1, security requirement)."""
    if operation.is_open:
        return []
    needed = [{SCHEME: [str(scope)]} for scope in operation.scopes] or [{SCHEME: list[str]()}]
    return [{}, *needed] if operation.group in opened else needed
