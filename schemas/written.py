"""The types of whole events and commands, attributes and data together: what schemas are generated from."""

from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from songline.schemas import commands
from songline.schemas.commands import CommandEnvelope, CommandPayload
from songline.schemas.envelope import Envelope
from songline.schemas.events import FORMER_EVENTS, TYPE_NAMES, FormerPayload, Payload


def written(payload: type[Payload]) -> type[Struct]:
    """The envelope as a type of its own for `payload`: its `type` is one name and its `data` are open."""
    return _opened(Envelope, f"{payload.__name__}Event", TYPE_NAMES[payload], payload)


def written_former(name: str, version: int) -> type[Struct]:
    """The same for an older version of an event, such as (`songline.song.played`, 1)."""
    payload: type[FormerPayload] = FORMER_EVENTS[name, version]
    return _opened(Envelope, f"{payload.__name__}Event", f"{name}.v{version}", payload)


def written_command(order: type[CommandPayload]) -> type[Struct]:
    """The same for a command."""
    return _opened(CommandEnvelope, f"{order.__name__}Command", commands.TYPE_NAMES[order], order)


def _opened(envelope: type[Struct], name: str, type_name: str, data: type[Struct]) -> type[Struct]:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    narrowed: dict[str, Any] = {"type": Literal[type_name], "data": data}
    for field in structs.fields(envelope):
        kind = narrowed.get(field.name, field.type)
        fields.append((field.name, kind) if field.required else (field.name, kind, field.default))
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, namespace={"__doc__": data.__doc__})
