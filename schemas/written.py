"""The types of whole events, attributes and data together: what the published schemas are generated from."""

from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from schemas.envelope import Envelope
from schemas.events import TYPE_NAMES, Payload


def written(payload: type[Payload]) -> type[Struct]:
    """The envelope as a type of its own for `payload`: its `type` is one name and its `data` are open."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    narrowed: dict[str, Any] = {"type": Literal[TYPE_NAMES[payload]], "data": payload}
    for field in structs.fields(Envelope):
        kind = narrowed.get(field.name, field.type)
        fields.append((field.name, kind) if field.required else (field.name, kind, field.default))
    return msgspec.defstruct(
        f"{payload.__name__}Event",
        fields,
        frozen=True,
        kw_only=True,
        namespace={"__doc__": payload.__doc__},
    )
