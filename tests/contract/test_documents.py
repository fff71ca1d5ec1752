"""The AsyncAPI and OpenAPI documents: they are what the types and routes make, and what they show is true."""

import json
from typing import Any

import jsonschema
import pytest

from songline.api import openapi
from songline.schemas import asyncapi, publish
from songline.schemas.channels import HUBS, SONG_COMMANDS

ASYNCAPI = json.loads(publish.files()[publish.ASYNCAPI])


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    found: Any = ASYNCAPI
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def test_the_openapi_document_is_what_the_routes_make() -> None:
    published = (publish.PUBLISHED / publish.OPENAPI).read_text(encoding="utf-8")
    assert published == openapi.text(), "run `make schemas`: openapi.json differs from the routes"


def test_channels_are_hubs_and_queues_that_there_are() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    changelogs = {hub for hub in HUBS if hub.endswith("-changelog")}
    # What Faust keeps for itself is no contract.
    assert ASYNCAPI["channels"].keys() == {*HUBS, SONG_COMMANDS} - changelogs


def test_operations_and_channels_point_at_what_there_is() -> None:
    for operation in ASYNCAPI["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert "messages" in resolved(operation["channel"])
    for channel in ASYNCAPI["channels"].values():
        assert [resolved(server)["protocol"] for server in channel["servers"]] == ["amqps"]
        assert all(resolved(message)["name"] == name for name, message in channel["messages"].items())


@pytest.mark.parametrize("name", ASYNCAPI["components"]["messages"])
def test_an_example_keeps_to_its_message(name: str) -> None:
    message = ASYNCAPI["components"]["messages"][name]
    schema = {**message["payload"], "components": ASYNCAPI["components"]}
    for example in message["examples"]:
        jsonschema.Draft202012Validator(schema).validate(example["payload"])
    assert not jsonschema.Draft202012Validator(schema).is_valid({})


def test_the_same_types_make_the_same_document() -> None:
    assert asyncapi.document() == asyncapi.document()
