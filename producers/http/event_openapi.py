"""What the events routes say of themselves in the OpenAPI document."""

from typing import Any

import msgspec

from songline.schemas import examples
from songline.schemas.envelope import encode
from songline.schemas.events import SongLiked, SongPlayed

_POSITION = {
    "type": "object",
    "additionalProperties": {"type": "integer"},
    "description": "Partition to sequence number: a reader that is there has read what was sent",
}
_STATUS = {
    "type": "string",
    "enum": ["sent", "kept", "refused"],
    "description": "`sent`: the hub has it; `kept`: it is on disk, and will be sent",
}
_DUPLICATE = {"type": "boolean", "description": "It was accepted before, and is not taken again"}
_RECEIPT = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {"id": {"type": "string"}, "status": _STATUS, "duplicate": _DUPLICATE, "position": _POSITION},
}
_VIOLATION = {
    "type": "object",
    "required": ["field", "value", "rule"],
    "properties": {name: {"type": "string"} for name in ("field", "value", "rule")},
}
_RESULT = {
    "type": "object",
    "required": ["index", "status"],
    "properties": {
        "index": {"type": "integer"},
        "id": {"type": "string"},
        "status": _STATUS,
        "duplicate": _DUPLICATE,
        "error": _VIOLATION,
    },
}
_RESULTS = {
    "type": "object",
    "required": ["results"],
    "properties": {"results": {"type": "array", "items": _RESULT}, "position": _POSITION},
}
_SENT = {"id": "019aabd1-5b7b-7000-8000-000000000001", "status": "sent", "position": {"2": 1203}}
_MIXED = {
    "results": [
        {"index": 0, "id": "e-1", "status": "sent"},
        {
            "index": 1,
            "id": "e-2",
            "status": "refused",
            "error": {"field": "data.region", "value": '"XX"', "rule": "an ISO 3166-1 alpha-2 country code"},
        },
    ],
    "position": {"0": 812},
}
_WORDS = {
    400: "A value breaks its rule; `errors` names field, value and rule",
    408: "The body stopped coming",
    413: "The body is larger than its events may be together",
    415: "The body is neither an event nor a batch",
    503: "The hub is away and the outbox is full, or too much is being sent; `Retry-After` says when to try again",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes sending again harmless: the same key is the same event",
    "schema": {"type": "string"},
}
_USER = {
    "name": "X-User-Id",
    "in": "header",
    "description": "The listener; a field `userId` does as well",
    "schema": {"type": "string", "maxLength": 128},
}
_EVENT = msgspec.json.decode(encode(examples.EVENTS[SongPlayed]))
_LIKE = msgspec.json.decode(encode(examples.EVENTS[SongLiked]))
_PLAYED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "userId": {"type": "string"},
        "playedMs": {
            "type": "integer",
            "minimum": 0,
            "maximum": 86_400_000,
            "description": "How long it was heard; without it, it was a listen, and how long it took is not known",
        },
        "durationMs": {
            "type": "integer",
            "minimum": 0,
            "maximum": 86_400_000,
            "description": "How long the song is; without it, thirty seconds make a listen",
        },
        "region": {"type": "string", "description": "ISO 3166-1 alpha-2; without it, in no chart of a region"},
        "device": {"type": "string"},
        "time": {"type": "string", "format": "date-time", "description": "When it happened, now by default"},
    },
}


def _answer(description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {status: {"description": _WORDS[status], **problem} for status in statuses}


def _receipts(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        200: _answer("The hub has it", _RECEIPT, _SENT),
        202: _answer("It is kept on disk: there is no position yet", _RECEIPT, {"id": _SENT["id"], "status": "kept"}),
        **_problems(*statuses),
    }


_EITHER = {"anyOf": [_RECEIPT, _RESULTS]}

EVENTS: dict[str, Any] = {
    "responses": {
        200: _answer("The hub has all of it", _EITHER, _SENT),
        202: _answer("All is accepted, some of it on disk", _EITHER, {"id": _SENT["id"], "status": "kept"}),
        207: _answer("Some of the batch was refused; `results` says which and why", _RESULTS, _MIXED),
        **_problems(400, 408, 413, 415, 503),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/cloudevents+json": {"schema": {"type": "object"}, "example": _EVENT},
                "application/cloudevents-batch+json": {
                    "schema": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 1_000},
                    "example": [_EVENT, _LIKE],
                },
            },
        }
    },
}

PLAY: dict[str, Any] = {
    "responses": _receipts(400, 408, 413, 503),
    "openapi_extra": {
        "parameters": [_USER, _KEY],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _PLAYED,
                    "example": {
                        "userId": "user-7",
                        "playedMs": 184_000,
                        "durationMs": 201_000,
                        "region": "DE",
                        "device": "ios",
                    },
                }
            },
        },
    },
}

LIKE: dict[str, Any] = {"responses": _receipts(400, 503), "openapi_extra": {"parameters": [_KEY]}}
UNLIKE: dict[str, Any] = LIKE
