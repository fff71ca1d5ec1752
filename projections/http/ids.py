"""Ids in paths: what can be none is not there, which a 404 with the rule says."""

import re
from typing import Annotated

from fastapi import Path as InPath
from pydantic import AfterValidator

from songline.schemas.types import END, ID_PATTERN, PATTERNS

# ECMA 262's `$`, which JSON Schema names, needs no `END`.
PATTERN = ID_PATTERN.replace(END, "$")

_ID = re.compile(ID_PATTERN)


def _checked(text: str) -> str:
    # Python's own engine, for that of pydantic knows less than the pattern may hold.
    if _ID.search(text) is None:
        raise ValueError(PATTERNS[ID_PATTERN])
    return text


_IS_ID = AfterValidator(_checked)
_SCHEMA = {"pattern": PATTERN}

SongId = Annotated[
    str, InPath(description="The id of a song, which is that of its ingestion", json_schema_extra=_SCHEMA), _IS_ID
]
UserId = Annotated[str, InPath(description="The id of a listener", json_schema_extra=_SCHEMA), _IS_ID]
IngestionId = Annotated[
    str, InPath(description="The id that the upload was answered with", json_schema_extra=_SCHEMA), _IS_ID
]
