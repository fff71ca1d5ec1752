"""Partial updates: the operations of the service's JSON patch dialect ("Partial document update").

They are applied in order, all or none: add, set, replace, remove, incr, move.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from localcloud.cosmos.errors import BadRequestError, PreconditionFailedError
from localcloud.cosmos.json_documents import SYSTEM_PROPERTIES, Document
from localcloud.cosmos.values import is_double

MAX_OPERATIONS = 10
KINDS = ("add", "set", "replace", "remove", "incr", "increment", "move")


@dataclass(frozen=True, slots=True)
class Step:
    kind: str
    path: tuple[str, ...]
    value: object = None
    source: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Patch:
    """`condition` says whether a document may be patched."""

    steps: tuple[Step, ...]
    condition: Callable[[Document], bool] | None = None

    def apply(self, document: Document) -> Document:
        """The changed document. Raises PreconditionFailedError, or BadRequestError for a step that does not fit it."""
        if self.condition is not None and not self.condition(document):
            raise PreconditionFailedError("The item does not fulfil the condition of the patch.")
        changed = copy.deepcopy(document)
        for step in self.steps:
            _apply(changed, step)
        return changed


def parse_steps(operations: object) -> tuple[Step, ...]:
    """Read `[{"op": "set", "path": "/a/b", "value": 1}]`; BadRequestError says which is wrong and how."""
    if not isinstance(operations, list) or not operations:
        raise BadRequestError("A patch needs a non-empty list of operations.")
    if len(operations) > MAX_OPERATIONS:
        raise BadRequestError(f"A patch has {len(operations)} operations where {MAX_OPERATIONS} are allowed.")
    return tuple(_parse(number, operation) for number, operation in enumerate(operations))


def _parse(number: int, operation: object) -> Step:
    if not isinstance(operation, dict):
        raise BadRequestError(f"Patch operation {number} is not a JSON object.")
    kind = str(operation.get("op", "")).lower()
    if kind not in KINDS:
        raise BadRequestError(
            f"Patch operation {number} has op {operation.get('op')!r}: expected one of {', '.join(KINDS)}."
        )
    path = _pointer(number, operation.get("path"))
    if kind == "move":
        return Step(kind, path, source=_pointer(number, operation.get("from")))
    if kind == "remove":
        return Step(kind, path)
    if "value" not in operation:
        raise BadRequestError(f"Patch operation {number} ({kind}) has no 'value'.")
    value = operation["value"]
    if kind in ("incr", "increment"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadRequestError(f"Patch operation {number} increments by {value!r}, which is no number.")
        return Step("incr", path, value)
    return Step(kind, path, value)


def _pointer(number: int, path: object) -> tuple[str, ...]:
    """A JSON pointer (RFC 6901)."""
    if not isinstance(path, str) or not path.startswith("/") or path == "/":
        raise BadRequestError(f"Patch operation {number} has the path {path!r}: expected '/' and a property name.")
    tokens = tuple(token.replace("~1", "/").replace("~0", "~") for token in path[1:].split("/"))
    if tokens[0] in SYSTEM_PROPERTIES:
        raise BadRequestError(f"Patch operation {number} changes the system property {tokens[0]}.")
    return tokens


def _apply(document: Document, step: Step) -> None:
    if step.kind == "move":
        if step.path[: len(step.source)] == step.source and step.path != step.source:
            raise BadRequestError(f"A patch cannot move {_text(step.source)} into itself, to {_text(step.path)}.")
        value = _remove_value(document, step.source)
        _insert(document, step.path, value, overwrite=False)
    elif step.kind == "remove":
        _remove_value(document, step.path)
    elif step.kind == "incr":
        _increment(document, step)
    elif step.kind == "replace":
        parent, token = _parent(document, step.path)
        _existing(parent, token, step.path)
        _store(parent, token, step.value, step.path)
    else:
        _insert(document, step.path, copy.deepcopy(step.value), overwrite=step.kind == "set")


def _increment(document: Document, step: Step) -> None:
    parent, token = _parent(document, step.path)
    if isinstance(parent, dict) and token not in parent:
        parent[token] = step.value
        return
    now = _existing(parent, token, step.path)
    if isinstance(now, bool) or not isinstance(now, int | float):
        raise BadRequestError(f"A patch increments {_text(step.path)}, which is {now!r} and no number.")
    assert isinstance(step.value, int | float)
    try:
        after = now + step.value
    except OverflowError:
        after = inf
    if not is_double(after):
        raise BadRequestError(f"A patch increments {_text(step.path)} beyond what a number can be.")
    _store(parent, token, after, step.path)


def _parent(document: Document, path: tuple[str, ...]) -> tuple[object, str]:
    node: object = document
    for depth, token in enumerate(path[:-1]):
        node = _existing(node, token, path[: depth + 1])
    return node, path[-1]


def _existing(parent: object, token: str, path: tuple[str, ...]) -> object:
    if isinstance(parent, dict) and token in parent:
        return parent[token]
    if isinstance(parent, list) and (place := _place(token)) is not None and place < len(parent):
        return parent[place]
    raise BadRequestError(f"A patch refers to {_text(path)}, which is not there.")


def _place(token: str) -> int | None:
    """The place in an array that a part of a path names; None where it names none, or one that no array has."""
    return int(token) if token.isascii() and token.isdigit() and len(token) < 10 else None


def _store(parent: object, token: str, value: object, path: tuple[str, ...]) -> None:
    if isinstance(parent, dict):
        parent[token] = value
    elif isinstance(parent, list):
        parent[int(token)] = value
    else:
        raise BadRequestError(f"A patch refers to {_text(path)}, which is in no object and no array.")


def _insert(document: Document, path: tuple[str, ...], value: object, *, overwrite: bool) -> None:
    parent, token = _parent(document, path)
    if isinstance(parent, list):
        if token == "-":  # noqa: S105 - RFC 6901's name for the end of an array
            parent.append(value)
            return
        place = _place(token)
        if place is not None and place < len(parent) and overwrite:
            parent[place] = value
        elif place is not None and place <= len(parent):
            parent.insert(place, value)
        else:
            raise BadRequestError(f"A patch refers to {_text(path)}, but the array has {len(parent)} elements.")
    else:
        _store(parent, token, value, path)


def _remove_value(document: Document, path: tuple[str, ...]) -> object:
    parent, token = _parent(document, path)
    value = _existing(parent, token, path)
    if isinstance(parent, dict):
        del parent[token]
    elif isinstance(parent, list):
        del parent[int(token)]
    return value


def _text(path: tuple[str, ...]) -> str:
    return "/" + "/".join(path)
