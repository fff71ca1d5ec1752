"""JSON Schema 2020-12 of events and documents, generated from their types."""

from typing import Any

import msgspec
from msgspec import Struct

from songline.schemas import commands, examples
from songline.schemas.commands import CommandPayload
from songline.schemas.envelope import encode
from songline.schemas.events import TYPE_NAMES, Payload
from songline.schemas.written import written, written_command

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema(payload: type[Payload]) -> dict[str, Any]:
    """The schema of a whole event, envelope and data, as it is on every wire."""
    example = msgspec.json.decode(encode(examples.EVENTS[payload]))
    return _document(TYPE_NAMES[payload], written(payload), example)


def command_schema(order: type[CommandPayload]) -> dict[str, Any]:
    """The schema of a whole command, as it is in the message's property `command`."""
    example = msgspec.json.decode(commands.encode(examples.COMMANDS[order]))
    return _document(commands.TYPE_NAMES[order], written_command(order), example)


def document_schema(name: str, kind: type[Struct]) -> dict[str, Any]:
    """The schema of an answer of the read API."""
    return _document(f"songline.{name}", kind, msgspec.to_builtins(examples.DOCUMENTS[kind]))


def _document(name: str, kind: type[Struct], example: object) -> dict[str, Any]:
    generated = msgspec.json.schema(kind)
    definitions = generated["$defs"]
    root = definitions.pop(kind.__name__)
    schema = {"$schema": DIALECT, "$id": f"urn:songline:schema:{name}", **root, "$defs": definitions}
    return {**{key: tidied(value) for key, value in schema.items() if value != {}}, "examples": [example]}


def tidied(node: Any) -> Any:
    """`node` with each description, which comes from a docstring, on one line, and enumerations of one as `const`."""
    match node:
        case list():
            return [tidied(item) for item in node]
        case dict():
            return dict(_entry(key, value) for key, value in node.items())
        case _:
            return node


def _entry(key: str, value: Any) -> tuple[str, Any]:
    match key, value:
        case "description", str():
            return key, " ".join(value.split())
        case "enum", [only]:
            return "const", only
        case _:
            return key, tidied(value)
