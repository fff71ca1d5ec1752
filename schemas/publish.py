"""`python -m schemas.publish` writes the published schemas, `schemas/published/`, from the types.

A version that is published may only grow (see `schemas.compatibility`); what breaks it is refused, and needs the next
version and an upcast. Files of older versions are history and stay as they are.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from schemas import asyncapi, avro, jsonschema
from schemas.compatibility import incompatibilities
from schemas.documents import Chart
from schemas.events import EVENTS, TYPE_NAMES
from schemas.library import Library, LibrarySummary, Recent

PUBLISHED = Path(__file__).parent / "published"
DOCUMENTS: dict[str, type[Struct]] = {
    "chart": Chart,
    "library": Library,
    "recent": Recent,
    "library-summary": LibrarySummary,
}
"""The read side's answers that are published, by name."""

ASYNCAPI, OPENAPI = "asyncapi.json", "openapi.json"
"""The documents of everything. The OpenAPI one is made where all routes are known: see `songline.openapi`."""

_JSON, _AVRO = ".schema.json", ".avsc"


def files() -> dict[str, str]:
    """Every file that the types of today make: path below `published/` to text. The same types make the same bytes."""
    made: dict[str, Any] = {"index.json": index()}
    for payload, name in TYPE_NAMES.items():
        made[f"events/{name}{_JSON}"] = jsonschema.event_schema(payload)
        made[f"events/{name}{_AVRO}"] = avro.event_schema(payload)
    for name, kind in DOCUMENTS.items():
        made[f"documents/{name}{_JSON}"] = jsonschema.document_schema(name, kind)
        made[f"documents/{name}{_AVRO}"] = avro.document_schema(name, kind)
    made[ASYNCAPI] = asyncapi.document()
    return {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in made.items()}


def index() -> dict[str, Any]:
    """What is published: every version of every event, old ones too, and the documents."""
    events = [
        {
            "type": f"{name}.v{version}",
            "jsonSchema": f"events/{name}.v{version}{_JSON}",
            "avro": f"events/{name}.v{version}{_AVRO}",
        }
        for name, (today, _) in EVENTS.items()
        for version in range(1, today + 1)
    ]
    documents = [
        {"name": name, "jsonSchema": f"documents/{name}{_JSON}", "avro": f"documents/{name}{_AVRO}"}
        for name in DOCUMENTS
    ]
    return {"events": events, "documents": documents}


def breaks(published: Mapping[str, str], made: Mapping[str, str]) -> list[str]:
    """What of `made` breaks whoever keeps to `published` (path to text, both), a sentence each."""
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
