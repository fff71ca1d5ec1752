"""What the routes of imports say of themselves in the OpenAPI document."""

from functools import partial
from typing import Any

from songline.producers.http.command_openapi import answers, receipt

_RECEIPT = receipt("the import's id", "import")
_WORDS = {
    400: "A value breaks its rule, or the body is no form; `detail` says which",
    404: "There is no such import",
    408: "The body stopped coming",
    409: "A dry run took nothing that could be taken back",
    413: "The file is larger than 500 MB, or than one may upload in a day",
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


_answers = partial(answers, "It is accepted; `Location` tells what becomes of it", _RECEIPT, _WORDS)


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
