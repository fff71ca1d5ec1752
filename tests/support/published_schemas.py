"""JSON Schemas of other projects' files, as the package check-jsonschema ships them.

Its command needs a newer click than Faust allows, so that the files are read without it.
"""

import json
from importlib.metadata import files
from typing import Any


def published_schema(name: str) -> dict[str, Any]:
    """The schema of that name, such as `github-workflows`."""
    (found,) = (path for path in files("check-jsonschema") or () if path.match(f"builtin_schemas/vendor/{name}.json"))
    document: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return document
