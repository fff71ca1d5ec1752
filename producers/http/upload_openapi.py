"""What the write routes say of themselves in the OpenAPI document."""

from functools import partial
from typing import Any

from songline.producers.http.command_openapi import answers, receipt

_TEXT = {"type": "string", "maxLength": 300}
_FIELDS = {"title": _TEXT, "artist": _TEXT, "album": _TEXT, "genre": _TEXT}
_RECEIPT = receipt("the ingestion's id, and the song's once there is one", "ingestion")
_WORDS = {
    400: "A value breaks its rule, or the body is no form; `detail` says which",
    403: "Only a song's uploader removes it",
    404: "There is no such song",
    408: "The body stopped coming",
    413: "The file is larger than 500 MB, or than one may upload in a day",
    415: "The body is neither a form nor audio",
    422: "The Idempotency-Key was used before, for another upload",
    503: "Too many uploads, or a service can't be reached; `Retry-After` says when to try again",
}
_USER = {
    "name": "X-User-Id",
    "in": "header",
    "description": "Who asks; a field `userId` does as well",
    "schema": {"type": "string", "maxLength": 128},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes sending again harmless: the same key gets the same ingestion",
    "schema": {"type": "string", "maxLength": 255},
}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": "Where the body is the file itself", "schema": schema}


_answers = partial(answers, "The broker has the command; `Location` tells what becomes of it", _RECEIPT, _WORDS)


_USER_FIELD = {
    "name": "userId",
    "in": "query",
    "description": "Who asks",
    "schema": {"type": "string", "maxLength": 128},
}
_FILE = {"type": "string", "format": "binary"}
_FORM = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {"userId": {"type": "string"}, **_FIELDS, "file": _FILE},
}

UPLOAD: dict[str, Any] = {
    "responses": _answers(400, 408, 413, 415, 422, 503),
    "openapi_extra": {
        "parameters": [
            _USER,
            _KEY,
            _USER_FIELD,
            *(_query(name, schema) for name, schema in _FIELDS.items()),
            _query("fileName", {"type": "string", "maxLength": 255}),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _FORM},
                "audio/*": {"schema": _FILE},
                "application/octet-stream": {"schema": _FILE},
            },
        },
    },
}

REMOVE: dict[str, Any] = {
    "responses": _answers(400, 403, 404, 503),
    "openapi_extra": {"parameters": [_USER, _KEY, _USER_FIELD]},
}
