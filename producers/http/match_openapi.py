"""What the routes of matches say of themselves in the OpenAPI document."""

from functools import partial
from typing import Any

from songline.producers.http.command_openapi import answers

_RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["name", "songId", "note", "href"],
    "properties": {
        "name": {"type": "string"},
        "songId": {"type": ["string", "null"], "description": "the song that the name is from now on"},
        "note": {"type": "string", "description": "from when on it counts, and what becomes of the past"},
        "href": {"type": "string", "description": "where the match can be looked up"},
    },
}
_WORDS = {
    400: "A value breaks its rule; `errors` names field, value and rule",
    404: "There is no such name, song or match",
    408: "The body stopped coming",
    409: "The song was taken away, or the name is another song already",
    413: "The body is too large",
    503: "A service can't be reached; `Retry-After` says when to try again",
}
_answers = partial(answers, "It is said; `Location` tells from when on it holds", _RECEIPT, _WORDS)

MATCH: dict[str, Any] = {
    "responses": _answers(400, 404, 408, 409, 413, 503),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["songId"],
                        "additionalProperties": False,
                        "properties": {"songId": {"type": "string", "maxLength": 128}},
                    },
                    "example": {"songId": "song-42"},
                }
            },
        },
    },
}
UNMATCH: dict[str, Any] = {"responses": _answers(400, 404, 503)}
