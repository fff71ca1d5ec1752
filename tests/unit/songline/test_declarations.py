"""The dashboard's TypeScript declarations are those of the published OpenAPI document."""

from pathlib import Path
from typing import Any

import pytest

from songline.api import declarations
from tests.support.published_document import openapi_document

STRING, NULL = {"type": "string", "format": "date-time"}, {"type": "null"}


def test_what_the_document_makes_is_what_is_checked_in() -> None:
    assert declarations.DECLARATIONS.read_text() == declarations.text(), "run `make schemas`"


def test_every_schema_with_every_field_is_declared() -> None:
    document = openapi_document()
    blocks = dict(block.split(" {\n", 1) for block in declarations.text().split("export interface ")[1:])
    for name, schema in document["components"]["schemas"].items():
        declared = [line.strip().partition(":")[0] for line in blocks[name].splitlines() if line.startswith("  ")]
        fields = [field if field in schema.get("required", []) else f"{field}?" for field in schema["properties"]]
        assert [field for field in declared if not field.startswith("|")] == fields


def test_writing_twice_writes_the_same(tmp_path: Path) -> None:
    declarations.main(tmp_path / "openapi.d.ts")
    assert (tmp_path / "openapi.d.ts").read_text() == declarations.DECLARATIONS.read_text()


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"$ref": "#/components/schemas/Chart"}, "Chart"),
        ({"type": "integer", "minimum": 0}, "number"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"const": 'a "word"'}, '"a \\"word\\""'),
        ({"enum": ["top", "trending"]}, '"top" | "trending"'),
        ({"anyOf": [STRING, NULL]}, "string | null"),
        ({"oneOf": [STRING, {"type": "string"}]}, "string"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "array", "items": STRING}, "string[]"),
        ({"type": "array", "items": {"anyOf": [STRING, NULL]}}, "(string | null)[]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Record<string, number>"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"properties": {"a": STRING, "b": NULL}, "required": ["a"]}, "{\n  a: string;\n  b?: null;\n}"),
        ({"enum": list(range(9))}, "".join(f"\n  | {number}" for number in range(9))),
    ],
)
def test_a_schema_is_written_as_its_type(schema: dict[str, Any], written: str) -> None:
    assert declarations.written_type(schema) == written


def test_a_schema_that_has_no_type_is_named() -> None:
    with pytest.raises(declarations.UnknownSchemaError, match=r'saw the schema \{"not": \{\}\}, expected'):
        declarations.written_type({"not": {}})


def test_answers_are_declared_by_method_and_path() -> None:
    def answer(status: str, kind: str) -> dict[str, Any]:
        return {"responses": {status: {"content": {kind: {"schema": {"$ref": "#/components/schemas/Song"}}}}}}

    paths = {
        "/songs/{id}": {"get": answer("200", "application/json"), "delete": answer("202", "application/json")},
        "/songs": {"post": answer("202", "application/json"), "get": answer("404", "application/json")},
        "/audio": {"get": answer("200", "audio/*")},
        "/live": {"get": answer("200", "text/event-stream")},
    }
    song = {"properties": {"id": STRING}, "required": ["id"]}
    made = declarations.declarations({"components": {"schemas": {"Song": song}}, "paths": paths})
    assert made.partition("export ")[2].splitlines() == [
        "interface Song {",
        "  id: string;",
        "}",
        "",
        "export interface GetAnswers {",
        '  "/songs/{id}": Song;',
        "}",
        "",
        "export interface PostAnswers {",
        '  "/songs": Song;',
        "}",
        "",
        "export interface StreamEvents {",
        '  "/live": Song;',
        "}",
    ]
