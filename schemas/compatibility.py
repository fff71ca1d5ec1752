"""The rule of change: what a published version may become without a new version.

Writers by the old schema are still understood, and readers by it still find what it promises: a new field is
optional, an enumeration only grows, a limit is only relaxed, and nothing is removed, renamed, narrowed or retyped.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

from songline.schemas.texts import SEEN_PATTERN
from songline.schemas.types import BLOB_NAME_PATTERN, GENRE_PATTERN, ID_PATTERN, MAX_WHOLE, OWNED_ID_PATTERN

Schema: TypeAlias = dict[str, Any]

# A limit and whether a greater value of it lets less through.
_LIMITS = {
    "minimum": True,
    "minLength": True,
    "minItems": True,
    "maximum": False,
    "maxLength": False,
    "maxItems": False,
}


CORRECTIONS = frozenset(
    {
        ("pattern", r"^[A-Za-z0-9._:-]{1,128}$(?!\n)", ID_PATTERN),
        ("pattern", ID_PATTERN, OWNED_ID_PATTERN),
        ("pattern", None, SEEN_PATTERN),
        ("maximum", None, MAX_WHOLE),
        ("pattern", None, BLOB_NAME_PATTERN),
    }
)
"""Limits that were tightened as the mending of a fault: (keyword, before, after). What they refuse could never be used
(see docs/decisions/0070-what-was-never-of-use-is-refused.md), or would give somebody a song that belongs to nobody (see
docs/decisions/0139-names-belong-to-nobody.md). Nothing else is tightened."""


RELAXED = frozenset({("pattern", r"^[a-z0-9][a-z0-9 &+'-]{0,63}$(?!\n)", GENRE_PATTERN)})
"""Patterns that match more than before, and all that they matched: (keyword, before, after)."""


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """What breaks clients of the JSON Schema `old` when it becomes `new`, a sentence each, with the field's path.

    Knows the keywords that msgspec generates. Descriptions, titles and examples may change.
    """
    return list(_Comparison(old, new).of("$", old, new))


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._roots = (old, new)
        self._seen: set[tuple[str, str]] = set()

    def of(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        if "$ref" in old and "$ref" in new:
            if (old["$ref"], new["$ref"]) in self._seen:
                return
            self._seen.add((old["$ref"], new["$ref"]))
        was, now = _alternatives(_resolved(self._roots[0], old)), _alternatives(_resolved(self._roots[1], new))
        if was.keys() != now.keys():
            yield f"{path}: retyped from {' or '.join(sorted(was))} to {' or '.join(sorted(now))}"
            return
        for kind in sorted(was):
            yield from self._alternative(path, was[kind], now[kind])

    def _alternative(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        yield from _values(path, old, new)
        yield from _limits(path, old, new)
        yield from self._fields(path, old, new)
        if "items" in old or "items" in new:
            yield from self.of(f"{path}[]", old.get("items", {}), new.get("items", {}))
        rest_was, rest_is = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if isinstance(rest_was, dict) and isinstance(rest_is, dict):
            yield from self.of(f"{path}.*", rest_was, rest_is)
        elif rest_was != rest_is and rest_is is not True:
            yield f"{path}: narrowed, other fields were allowed as {rest_was} and are as {rest_is}"

    def _fields(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        was, now = old.get("properties", {}), new.get("properties", {})
        must_was, must_now = set(old.get("required", ())), set(new.get("required", ()))
        for name in was:
            if name not in now:
                yield f"{path}.{name}: removed or renamed"
            elif name in must_was - must_now:
                yield f"{path}.{name}: was required and readers rely on it, is optional"
            else:
                yield from self.of(f"{path}.{name}", was[name], now[name])
        for name in sorted(must_now - must_was):
            yield f"{path}.{name}: required, and what was written before does not have it"


def _resolved(root: Schema, node: Schema) -> Schema:
    while "$ref" in node:
        target: Any = root
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def _alternatives(node: Schema) -> dict[str, Schema]:
    """The branches of `node` by their JSON type; a node that allows anything is of type `anything`."""
    branches: dict[str, Schema] = {}
    for branch in node.get("anyOf", [node]):
        values = _enumeration(branch)
        kinds = {branch["type"]} if "type" in branch else {_json_type(value) for value in values or ()}
        for kind in kinds or {"anything"}:
            branches[kind] = branch
    return branches


def _json_type(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return names[type(value)]


def _enumeration(node: Schema) -> list[Any] | None:
    return [node["const"]] if "const" in node else node.get("enum")


def _values(path: str, old: Schema, new: Schema) -> Iterator[str]:
    was, now = _enumeration(old), _enumeration(new)
    if was is None and now is not None:
        yield f"{path}: narrowed to an enumeration"
    elif was is not None and now is None:
        yield f"{path}: retyped, its enumeration is gone"
    elif was is not None and now is not None:
        for value in was:
            if value not in now:
                yield f"{path}: narrowed, {value!r} is no longer one of its values"


def _limits(path: str, old: Schema, new: Schema) -> Iterator[str]:
    for name, greater_is_tighter in _LIMITS.items():
        was, now = old.get(name), new.get(name)
        if now is None or (name, was, now) in CORRECTIONS:
            continue
        if was is None or (now > was if greater_is_tighter else now < was):
            yield f"{path}: narrowed, {name} was {was} and is {now}"
    patterns = old.get("pattern"), new.get("pattern")
    if "pattern" in new and patterns[0] != patterns[1] and ("pattern", *patterns) not in CORRECTIONS | RELAXED:
        yield f"{path}: narrowed, its pattern was {old.get('pattern')} and is {new['pattern']}"
    if old.get("format") != new.get("format"):
        yield f"{path}: retyped, its format was {old.get('format')} and is {new.get('format')}"
