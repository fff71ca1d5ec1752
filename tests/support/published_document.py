"""The OpenAPI document as it is published. `tests/contract/test_documents.py` holds it to be that of the routes."""

import json
from typing import Any

from songline.schemas.publish import OPENAPI, PUBLISHED


def openapi_document() -> dict[str, Any]:
    """The document, read from its file: to make it of the routes takes a quarter of a second of CPU."""
    document: dict[str, Any] = json.loads((PUBLISHED / OPENAPI).read_text(encoding="utf-8"))
    return document
