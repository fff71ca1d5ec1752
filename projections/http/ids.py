"""Ids in paths. A text that can't be an id is answered with 404 and the rule."""

import re
from typing import Annotated

from fastapi import Path as InPath
from pydantic import AfterValidator

from songline.schemas.types import END, ID_PATTERN, PATTERNS

# ECMA 262's `$`, which JSON Schema names, needs no `END`.
PATTERN = ID_PATTERN.replace(END, "$")

_ID = re.compile(ID_PATTERN)


def _checked(text: str) -> str:
    # Python's engine, because pydantic's doesn't support all of the pattern's syntax.
    if _ID.search(text) is None:
        raise ValueError(PATTERNS[ID_PATTERN])
    return text


_IS_ID = AfterValidator(_checked)
_SCHEMA = {"pattern": PATTERN}

SongId = Annotated[
    str, InPath(description="The id of a song, the same as its ingestion's", json_schema_extra=_SCHEMA), _IS_ID
]
UserId = Annotated[str, InPath(description="The id of a listener", json_schema_extra=_SCHEMA), _IS_ID]
IngestionId = Annotated[
    str, InPath(description="The id in the answer to the upload", json_schema_extra=_SCHEMA), _IS_ID
]
ErasureId = Annotated[str, InPath(description="The id in the answer to the request", json_schema_extra=_SCHEMA), _IS_ID]
NameId = Annotated[
    str,
    InPath(description="The id of a song that is known by name only: `name:` and more", json_schema_extra=_SCHEMA),
    _IS_ID,
]
ImportId = Annotated[str, InPath(description="The id in the answer to the import", json_schema_extra=_SCHEMA), _IS_ID]
