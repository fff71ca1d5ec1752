"""The OpenAPI document of the read API, with schemas generated from the types of its answers."""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from msgspec import Struct

from songline.projections.http import negotiation
from songline.projections.http.problems import MEDIA_TYPE
from songline.schemas import examples

_REF = "#/components/schemas/{name}"
PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}}}
"""The body of an answer that is a problem document."""
_WORDS = {
    204: "The client has seen the last event; none will follow",
    304: "Not changed since the ETag that was sent",
    400: "A value breaks its rule; `errors` names each",
    406: "`Accept` allows none of the available media types",
    404: "Not found; `detail` says what was expected",
    410: "The song was removed",
    429: "Too many requests or streams of one caller; `RateLimit` and `Retry-After` say when",
    416: "The range begins after the end of the file",
    501: "`asOf`: this API can't read the archive; `detail` says what it lacks",
    503: "Not computed yet, older than `maxStaleness`, or a store can't be reached; see `Retry-After`",
}
_BODILESS = (204, 304)
_EXAMPLES = {kind.__name__: example for kind, example in examples.DOCUMENTS.items()}


def answers(name: str, *others: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation: 200 with the schema `name`, and problems."""
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(name=name)}}
    if name in _EXAMPLES:
        content["example"] = msgspec.to_builtins(_EXAMPLES[name])
    return {200: {"description": "The answer", "content": {"application/json": content}}} | _others(others)


def either(names: Sequence[str], *others: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation: 200 with one of several schemas, the first of which has an example, and problems."""
    found = answers(names[0], *others)
    found[200]["content"]["application/json"]["schema"] = {"anyOf": [{"$ref": _REF.format(name=one)} for one in names]}
    return found


def audio(*others: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that sends a file, or a range of it, and problems."""
    content = {"audio/*": {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {"description": "The whole file", "content": content},
        206: {"description": "The requested range", "content": content},
    } | _others((304, *others))


def events(name: str, *others: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that sends server-sent events, their data of the schema `name`, and problems."""
    content = {"text/event-stream": {"schema": {"$ref": _REF.format(name=name)}}}
    return {200: {"description": "Server-sent events, each with this in its data", "content": content}} | _others(
        others
    )


def live(*others: int) -> dict[int | str, dict[str, Any]]:
    """The answers of the live stream: events `live`, `chart` and `followed`, and problems."""
    either = {"oneOf": [{"$ref": _REF.format(name=name)} for name in ("Live", "Chart", "Followed")]}
    words = "Events: the data of `live` is a Live, that of `chart` a Chart, that of `followed` a Followed"
    return {200: {"description": words, "content": {"text/event-stream": {"schema": either}}}} | _others(others)


def tables(name: str, *others: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that also answers with a table, in the form that `Accept` selects, and problems."""
    found = answers(name, *others)
    text, file = {"schema": {"type": "string"}}, {"schema": {"type": "string", "format": "binary"}}
    found[200]["content"] |= {negotiation.CSV: text, negotiation.PARQUET: file}
    return found


def _others(statuses: Sequence[int]) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": _WORDS[status]} | ({} if status in _BODILESS else PROBLEM) for status in statuses}


def describe(app: FastAPI, types: Sequence[type[Struct]]) -> None:
    """Add the schemas of `types` to the app's document, and remove the answers that it never gives."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for operations in document["paths"].values():
            for operation in operations.values():
                # Every operation refuses unknown query parameters.
                operation["responses"].setdefault("400", _others((400,))[400])
                # In front of all operations there are limits.
                operation["responses"].setdefault("429", _others((429,))[429])
                # FastAPI adds 422. This API answers 400 or 404 instead.
                if operation["responses"].get("422", {}).get("description") == "Validation Error":
                    del operation["responses"]["422"]
        _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
        document["components"] = {"schemas": schemas}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document
