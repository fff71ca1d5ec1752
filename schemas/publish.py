"""`python -m songline.schemas.publish` writes the published schemas, `schemas/published/`, from the types.

A version that is published may only grow (see `schemas.compatibility`); what breaks it is refused, and needs the next
version and an upcast. Files of older versions are history and stay as they are.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from songline.schemas import asyncapi, avro, commands, jsonschema
from songline.schemas.compatibility import incompatibilities
from songline.schemas.documents import Chart
from songline.schemas.events import EVENTS, TYPE_NAMES
from songline.schemas.ingestions import IngestionAnswer
from songline.schemas.library.answers import Library, LibrarySummary, Recent
from songline.schemas.plays import SongPlays
from songline.schemas.songs import SongAnswer, SongsAnswer

PUBLISHED = Path(__file__).parent / "published"
DOCUMENTS: dict[str, type[Struct]] = {
    "chart": Chart,
    "library": Library,
    "recent": Recent,
    "library-summary": LibrarySummary,
    "song": SongAnswer,
    "song-plays": SongPlays,
    "songs": SongsAnswer,
    "ingestion": IngestionAnswer,
}
"""The read side's answers that are published, by name."""

ASYNCAPI, OPENAPI = "asyncapi.json", "openapi.json"
"""The documents of everything. The OpenAPI one is made where all routes are known: see `songline.api.openapi`."""

_JSON, _AVRO = ".schema.json", ".avsc"


def files() -> dict[str, str]:
    """Every file that the types of today make: path below `published/` to text. The same types make the same bytes."""
    made: dict[str, Any] = {"index.json": index()}
    for payload, name in TYPE_NAMES.items():
        made[f"events/{name}{_JSON}"] = jsonschema.event_schema(payload)
        made[f"events/{name}{_AVRO}"] = avro.event_schema(payload)
    for order, name in commands.TYPE_NAMES.items():
        made[f"commands/{name}{_JSON}"] = jsonschema.command_schema(order)
        made[f"commands/{name}{_AVRO}"] = avro.command_schema(order)
    for name, kind in DOCUMENTS.items():
        made[f"documents/{name}{_JSON}"] = jsonschema.document_schema(name, kind)
        made[f"documents/{name}{_AVRO}"] = avro.document_schema(name, kind)
    made[ASYNCAPI] = asyncapi.document()
    return {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in made.items()}


def index() -> dict[str, Any]:
    """What is published: every version of every event and command, old ones too, and the documents."""
    documents = [
        {"name": name, "jsonSchema": f"documents/{name}{_JSON}", "avro": f"documents/{name}{_AVRO}"}
        for name in DOCUMENTS
    ]
    return {
        "events": _versions("events", {name: today for name, (today, _) in EVENTS.items()}),
        "commands": _versions("commands", {name: today for name, (today, _) in commands.COMMANDS.items()}),
        "documents": documents,
    }


def _versions(folder: str, names: Mapping[str, int]) -> list[dict[str, str]]:
    """Each version of each name, up to today's."""
    return [
        {
            "type": f"{name}.v{version}",
            "jsonSchema": f"{folder}/{name}.v{version}{_JSON}",
            "avro": f"{folder}/{name}.v{version}{_AVRO}",
        }
        for name, today in names.items()
        for version in range(1, today + 1)
    ]


def breaks(published: Mapping[str, str], made: Mapping[str, str]) -> list[str]:
    """Return a sentence for each change in `made` that breaks a client of `published` (both: path to text)."""
    return [
        f"{path}: {problem}"
        for path, text in made.items()
        if path.endswith(_JSON) and path in published
        for problem in incompatibilities(json.loads(published[path]), json.loads(text))
    ]


def read(folder: Path = PUBLISHED) -> dict[str, str]:
    """The published files as they are in `folder`."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main(folder: Path = PUBLISHED) -> None:
    made = files()
    if found := breaks(read(folder), made):
        raise SystemExit("\n".join([*found, "Nothing was written: give the type its next version and an upcast."]))
    for path, text in made.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    print(f"{len(made)} files in {folder}")


if __name__ == "__main__":
    main()
