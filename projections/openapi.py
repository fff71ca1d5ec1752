"""The OpenAPI document of the read API, with schemas generated from the types that are served."""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from msgspec import Struct

from projections.problems import MEDIA_TYPE
from schemas import examples

_REF = "#/components/schemas/{name}"
_WORDS = {
    304: "Not changed since the ETag that was sent",
    400: "A value breaks its rule; `errors` names each",
    404: "There is no such chart; `errors` names what there is",
    503: "Not computed yet, or the store can't be reached; `Retry-After` says when to ask again",
}


def answers(name: str, *others: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation: 200 with the schema `name`, and problems."""
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(name=name)}}
    if name == "Chart":
        content["example"] = msgspec.to_builtins(examples.CHART)
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": "The answer", "content": {"application/json": content}}
    }
    for status in others:
        problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}}}
        found[status] = {"description": _WORDS[status]} | ({} if status == 304 else problem)
    return found


def describe(app: FastAPI, types: Sequence[type[Struct]]) -> None:
    """Make the app's document carry the schemas of `types`, and no answer that it does not give."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
        document["components"] = {"schemas": schemas}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document
