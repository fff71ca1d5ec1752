"""The published schemas: they are what the types make, they are valid, and real events keep to them."""

import io
import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import fastavro
import jsonschema
import msgspec
import pytest
from msgspec import Struct

from songline.schemas import commands, examples, publish
from songline.schemas.envelope import decode, encode
from songline.schemas.events import TYPE_NAMES, Payload

PUBLISHED = publish.read()
EVENTS = list(TYPE_NAMES.items())


def test_what_the_types_make_is_what_is_checked_in() -> None:
    drifted = [path for path, text in publish.files().items() if PUBLISHED.get(path) != text]
    assert not drifted, f"run `make schemas`: {drifted} differ from the types"


def test_the_index_and_the_folder_name_the_same_files() -> None:
    index = json.loads(PUBLISHED["index.json"])
    listed = {entry[form] for kind in index.values() for entry in kind for form in ("jsonSchema", "avro")}
    assert listed == PUBLISHED.keys() - {"index.json", publish.ASYNCAPI, publish.OPENAPI}


def test_nothing_breaks_what_is_committed() -> None:
    assert publish.breaks(committed(), publish.files()) == []


def test_a_breaking_change_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    publish.main(tmp_path)
    path = "events/songline.song.liked.v1.schema.json"
    schema = json.loads(PUBLISHED[path])
    schema["properties"]["mood"] = {"type": "string"}
    (tmp_path / path).write_text(json.dumps(schema))
    with pytest.raises(SystemExit, match=r"liked\.v1\.schema\.json: \$\.mood: removed or renamed"):
        publish.main(tmp_path)
    assert json.loads((tmp_path / path).read_text()) == schema


def test_publishing_twice_writes_the_same(tmp_path: Path) -> None:
    publish.main(tmp_path)
    first = publish.read(tmp_path)
    publish.main(tmp_path)
    assert publish.read(tmp_path) == first == publish.files()


@pytest.mark.parametrize("path", [path for path in PUBLISHED if path.endswith(".schema.json")])
def test_a_json_schema_is_valid_and_so_are_its_examples(path: str) -> None:
    schema = json.loads(PUBLISHED[path])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:songline:schema:{schema_name(path)}"
    assert schema["examples"]
    for example in schema["examples"]:
        jsonschema.Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize(("payload", "name"), EVENTS)
def test_an_event_schema_names_its_type_and_no_other(payload: type[Payload], name: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(PUBLISHED[f"events/{name}.schema.json"]))
    for other in TYPE_NAMES:
        event = json.loads(encode(examples.EVENTS[other]))
        assert validator.is_valid(event) == (other is payload)


@pytest.mark.parametrize(("payload", "name"), EVENTS)
def test_an_event_survives_avro(payload: type[Payload], name: str) -> None:
    event = examples.EVENTS[payload]
    record = {**json.loads(encode(event)), "time": event.time}
    read = through_avro(f"events/{name}.avsc", record)
    moment = read.pop("time")
    assert moment == event.time
    assert decode(msgspec.json.encode({**without_nulls(read), "time": moment})) == event


@pytest.mark.parametrize(("order", "name"), commands.TYPE_NAMES.items())
def test_a_command_schema_names_its_type_and_no_other(order: type[commands.CommandPayload], name: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(PUBLISHED[f"commands/{name}.schema.json"]))
    for other, command in examples.COMMANDS.items():
        assert validator.is_valid(json.loads(commands.encode(command))) == (other is order)


@pytest.mark.parametrize(("order", "name"), commands.TYPE_NAMES.items())
def test_a_command_survives_avro(order: type[commands.CommandPayload], name: str) -> None:
    command = examples.COMMANDS[order]
    record = {**json.loads(commands.encode(command)), "time": command.time}
    read = through_avro(f"commands/{name}.avsc", record)
    assert commands.decode(msgspec.json.encode(without_nulls(read))) == command


@pytest.mark.parametrize(("name", "kind"), publish.DOCUMENTS.items())
def test_a_document_survives_avro(name: str, kind: type[Struct]) -> None:
    document = examples.DOCUMENTS[kind]
    read = through_avro(f"documents/{name}.avsc", msgspec.to_builtins(document, builtin_types=(datetime,)))
    assert msgspec.convert(read, kind) == document


def through_avro(path: str, record: dict[str, Any]) -> dict[str, Any]:
    schema = fastavro.parse_schema(json.loads(PUBLISHED[path]))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, record, strict_allow_default=True)
    buffer.seek(0)
    read: dict[str, Any] = fastavro.schemaless_reader(buffer, schema)
    return read


def without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(item) for key, item in value.items() if item is not None}


def schema_name(path: str) -> str:
    name = Path(path).name.removesuffix(".schema.json")
    return f"songline.{name}" if path.startswith("documents/") else name


def committed() -> dict[str, str]:
    """The published files of the last commit; those of the folder where there is no repository (a release archive)."""
    folder = publish.PUBLISHED
    listing = git("ls-tree", "-r", "--name-only", "HEAD", ".")
    if listing is None:
        return PUBLISHED
    return {path: git("show", f"HEAD:./{path}") or "" for path in listing.splitlines() if (folder / path).suffix}


def git(*arguments: str) -> str | None:
    done = subprocess.run(
        ["git", *arguments], cwd=publish.PUBLISHED, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    return done.stdout if done.returncode == 0 else None
