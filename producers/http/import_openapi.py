"""What the routes of imports say of themselves in the OpenAPI document."""

from typing import Any

_RECEIPT = {
    "type": "object",
    "required": ["id", "state", "href"],
    "properties": {
        "id": {"type": "string", "description": "the import's id"},
        "state": {"type": "string"},
        "href": {"type": "string", "description": "where the import can be looked up"},
    },
}
_WORDS = {
    400: "A value breaks its rule, or the body is no form; `detail` says which",
    404: "There is no such import",
    408: "The body stopped coming",
    409: "A dry run took nothing that could be taken back",
    413: "The file is larger than 500 MB",
    503: "Too many uploads, or a service can't be reached; `Retry-After` says when to try again",
}
_FILE = {"type": "string", "format": "binary"}
_FIELDS: dict[str, dict[str, Any]] = {
    "userId": {"type": "string", "maxLength": 128},
    "timezone": {"type": "string", "maxLength": 64, "default": "UTC", "example": "Europe/Berlin"},
    "dryRun": {"type": "boolean", "default": False},
    "fileName": {"type": "string", "maxLength": 255},
}
_MEANINGS = {
    "userId": "Whose history it is",
    "timezone": "The zone of local times in the file",
    "dryRun": "Say what would come of it, and take nothing",
    "fileName": "The name of the file, where the body is the file itself",
}
_USER = {
    "name": "X-User-Id",
    "in": "header",
    "description": "Whose history it is; a field `userId` does as well",
    "schema": {"type": "string", "maxLength": 128},
}


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    accepted = {
        "description": "It is accepted; `Location` tells what becomes of it",
        "content": {"application/json": {"schema": _RECEIPT}},
    }
    return {202: accepted, **{status: {"description": _WORDS[status], **problem} for status in statuses}}


IMPORT: dict[str, Any] = {
    "responses": _answers(400, 408, 413, 503),
    "openapi_extra": {
        "parameters": [
            _USER,
            *(
                {"name": name, "in": "query", "description": _MEANINGS[name], "schema": schema}
                for name, schema in _FIELDS.items()
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "additionalProperties": False,
                        "properties": {**_FIELDS, "file": _FILE},
                    }
                },
                "application/octet-stream": {"schema": _FILE},
            },
        },
    },
}

CHANGE: dict[str, Any] = {"responses": _answers(400, 404, 409, 503)}
