"""`python -m songline.api.declarations` writes the API's answers as TypeScript, `projections/dashboard/openapi.d.ts`.

They are generated from the published OpenAPI document, so that the dashboard's type check compares the page with it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from songline.schemas.publish import OPENAPI, PUBLISHED

DECLARATIONS = PUBLISHED.parents[1] / "projections" / "dashboard" / "openapi.d.ts"

_HEADER = (
    "// Written by `make schemas` from `schemas/published/openapi.json`. Don't edit it: the next run overwrites it.\n"
)
_JSON, _STREAM = "application/json", "text/event-stream"
_ANSWERS = (
    ("GetAnswers", "get", "200", _JSON),
    ("PostAnswers", "post", "202", _JSON),
    ("StreamEvents", "get", "200", _STREAM),
)
"""An interface, and the method, status and media type of its answers."""
_PRIMITIVES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_MAX_CHOICES = 8
"""A union with more choices is written with one choice a line."""


class UnknownSchemaError(ValueError):
    """The document has a schema of a kind that this module can't write as a TypeScript type."""


def declarations(document: Mapping[str, Any]) -> str:
    """The declarations of `document`: an interface for each of its schemas, and one for the answers of each method.

    `GetAnswers` has the path of every GET that answers 200 with JSON, `PostAnswers` that of every POST that answers
    202 with JSON, `StreamEvents` that of every event stream. Raises UnknownSchemaError.
    """
    parts = [f"export interface {name} {_body(schema)}\n" for name, schema in document["components"]["schemas"].items()]
    for name, method, status, media_type in _ANSWERS:
        answers = dict(_answers(document["paths"], method, status, media_type))
        parts.append(f"export interface {name} {_body({'properties': answers, 'required': list(answers)})}\n")
    return "\n".join((_HEADER, *parts))


def written_type(schema: Mapping[str, Any], indent: str = "") -> str:
    """The TypeScript type of the values that `schema` allows. Raises UnknownSchemaError."""
    match schema:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"const": constant}:
            return json.dumps(constant, ensure_ascii=False)
        case {"enum": list(values)}:
            return _union((json.dumps(value, ensure_ascii=False) for value in values), indent)
        case {"anyOf": list(choices)} | {"oneOf": list(choices)}:
            return _union((written_type(choice, indent) for choice in choices), indent)
        case {"type": list(kinds)}:
            return _union((written_type({**schema, "type": kind}, indent) for kind in kinds), indent)
        case {"type": "array", "items": items}:
            item = written_type(items, indent)
            return f"({item})[]" if "|" in item else f"{item}[]"
        case {"properties": _}:
            return _body(schema, indent)
        case {"type": "object"}:
            extra = schema.get("additionalProperties")
            kind = written_type(extra, indent) if isinstance(extra, dict) else "unknown"
            return f"Record<string, {kind}>"
        case {"type": str(name)} if name in _PRIMITIVES:
            return _PRIMITIVES[name]
    raise UnknownSchemaError(
        f"saw the schema {json.dumps(schema)}, expected a $ref, const, enum, anyOf, oneOf, array, object or primitive; "
        "add its kind to songline/api/declarations.py"
    )


def _body(schema: Mapping[str, Any], indent: str = "") -> str:
    """The fields of an object, one a line. An optional field has a question mark."""
    lines = ["{"]
    for name, field in schema.get("properties", {}).items():
        key = name if name.isidentifier() else json.dumps(name)
        mark = "" if name in schema.get("required", ()) else "?"
        kind = written_type(field, f"{indent}  ")
        lines.append(f"{indent}  {key}{mark}:{'' if kind.startswith(chr(10)) else ' '}{kind};")
    return "\n".join((*lines, f"{indent}}}"))


def _union(choices: Iterator[str], indent: str) -> str:
    different = list(dict.fromkeys(choices))
    if len(different) <= _MAX_CHOICES:
        return " | ".join(different)
    return "".join(f"\n{indent}  | {choice}" for choice in different)


def _answers(
    paths: Mapping[str, Any], method: str, status: str, media_type: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, operations in paths.items():
        content = operations.get(method, {}).get("responses", {}).get(status, {}).get("content", {})
        if media_type in content:
            yield path, content[media_type]["schema"]


def text() -> str:
    """The declarations of the published document. The same document gives the same bytes."""
    return declarations(json.loads((PUBLISHED / OPENAPI).read_text(encoding="utf-8")))


def main(target: Path = DECLARATIONS) -> None:
    """Write the declarations to `target`."""
    target.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
