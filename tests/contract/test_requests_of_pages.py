"""Requests that pages show, by curl: the OpenAPI document has them, the API answers them, and answers look as shown."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest
from msgspec import Struct

from tests.support import audio, pages
from tests.support.api import ApiProcess
from tests.support.pages import Example
from tests.support.published_document import openapi_document

DOCUMENT = openapi_document()
HOST = "127.0.0.1:8000"
WITH_VALUE = {"-X", "-H", "-F", "-d", "-o", "--data-binary", "--data-urlencode"}
SENDING = {"-F", "-d", "--data-binary"}
LEFT_OUT = re.compile(r"/ID\b|…")
"""What a page leaves for its reader to fill in."""
SONGLINE = f"""songline() {{
  local kept="./$*"
  [ -s "$kept" ] || {{ {shlex.quote(sys.executable)} -m songline "$@" >"$kept.$$" && mv "$kept.$$" "$kept"; }}
  cat "$kept"
}}
"""
"""The command `songline` of a shell, which says again what it said before: pages ask for few tokens, many times."""


class Request(Struct, frozen=True):
    """What a curl command asks for: a method, a path, the names of its query parameters."""

    method: str
    path: str
    query: frozenset[str]


def request(command: str) -> Request:
    """Read a curl command; raises AssertionError for an option that is not known here."""
    bare = re.sub(r"[$<]\([^)]*\)", "NOW", command.replace("\\\n", " "))
    words = iter([word for word in shlex.split(bare, comments=True)[1:] if word != "&"])
    method, sending, getting, query, address = "", False, False, [], ""
    for word in words:
        if word in WITH_VALUE:
            value = next(words)
            method = value if word == "-X" else method
            sending = sending or word in SENDING
            query += [value.partition("=")[0]] if word == "--data-urlencode" else []
        elif word.startswith("-"):
            assert word in {"-N", "-G", "-i"}, f"{word} is an option of curl that no page used yet: add it here"
            getting = getting or word == "-G"
        else:
            address = word
    parts = urlsplit(address if "://" in address else f"http://{address}")
    assert parts.netloc == HOST
    query += [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    return Request(method or ("POST" if sending and not getting else "GET"), parts.path, frozenset(query))


def operation(asked: Request) -> dict[str, Any] | None:
    """The operation of the OpenAPI document, if there is one."""
    # A path without parameters goes before one that has them.
    for path in sorted(DOCUMENT["paths"], key=lambda path: path.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked.path):
            found: dict[str, Any] | None = DOCUMENT["paths"][path].get(asked.method.lower())
            if found:
                return found
    return None


CURLS = [command for command in pages.commands() if command.text.startswith("curl ")]


@pytest.mark.parametrize("example", CURLS, ids=str)
def test_the_document_has_the_request(example: Example) -> None:
    asked = request(example.text)
    found = operation(asked)
    assert found, f"{asked.method} {asked.path} is in no path of the OpenAPI document"
    known = {parameter["name"] for parameter in found.get("parameters", []) if parameter["in"] == "query"}
    assert asked.query <= known


def test_what_the_document_has_not_is_found() -> None:
    assert operation(request(f"curl {HOST}/v1/chart/top/1h")) is None
    assert operation(request(f"curl -X PUT {HOST}/v1/charts/top/1h")) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the songs that pages upload."""
    folder = tmp_path_factory.mktemp("shell")
    for name in ("song.mp3", "song.flac"):
        (folder / name).write_bytes(audio.song(name.partition(".")[2]))
    return folder


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("example", [one for one in CURLS if not LEFT_OUT.search(one.text)], ids=str)
def test_the_api_answers_the_request(example: Example, api: ApiProcess, folder: Path) -> None:
    """curl itself asks, in a shell, as the page has it. A stream is left when its headers are there."""
    stream = "-N" in example.text
    status = "%{stderr}%{http_code}"
    script = f"curl() {{ command curl -sS --max-time {1 if stream else 20} -w '{status}' \"$@\"; }}\n"
    script += SONGLINE
    script += re.sub(r"\s&(?=\s*(#|$))", "", example.text.replace(HOST, api.address.removeprefix("http://")))
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=api.environment, capture_output=True, timeout=120, check=False
    )
    answered = re.search(rb"(\d{3})$", done.stderr)
    assert answered, done.stderr
    assert int(answered[1]) in expected(example), (answered[1], done.stdout, done.stderr)


def expected(example: Example) -> set[int]:
    shown = next((output for command, output in pages.outputs() if command == example), "")
    refused = re.search(r'"status":(\d{3})', shown)
    if refused:
        return {int(refused[1])}
    # Nobody has uploaded song-42 here, or heard it in an hour that is kept.
    unknown = request(example.text).path in {"/v1/songs/song-42/audio", "/v1/songs/song-42/plays"}
    return {404} if unknown and "-X" not in example.text else set(range(200, 300))


def shown() -> Iterator[tuple[Example, str]]:
    """Each request with a JSON object that the page shows as its answer."""
    for command, output in pages.outputs():
        if output.startswith("{"):
            yield command, output


@pytest.mark.parametrize(("example", "output"), list(shown()), ids=lambda part: str(part)[:30])
def test_an_answer_that_is_shown_keeps_to_the_document(example: Example, output: str) -> None:
    answer = json.loads(output)
    found = operation(request(example.text))
    assert found
    status = str(answer.get("status", 200))
    content = found["responses"][status]["content"]
    schema = content.get("application/json") or content["application/problem+json"]
    jsonschema.Draft202012Validator({**schema["schema"], "components": DOCUMENT["components"]}).validate(answer)
