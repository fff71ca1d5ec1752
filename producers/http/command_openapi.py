"""What routes that end in a command say of their answers in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any


def receipt(id_is: str, thing: str) -> dict[str, Any]:
    """The schema of the answer 202."""
    return {
        "type": "object",
        "required": ["id", "state", "href"],
        "properties": {
            "id": {"type": "string", "description": id_is},
            "state": {"type": "string"},
            "href": {"type": "string", "description": f"where the {thing} can be looked up"},
        },
    }


def answers(
    accepted: str, schema: Mapping[str, Any], words: Mapping[int, str], *statuses: int
) -> dict[int | str, dict[str, Any]]:
    """202 with its receipt, and problems with these statuses, each in its words."""
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    taken = {"description": accepted, "content": {"application/json": {"schema": schema}}}
    return {202: taken, **{status: {"description": words[status], **problem} for status in statuses}}
