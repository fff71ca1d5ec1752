"""What a Bicep file would deploy, as values: an evaluator of the part of the language that `infra/azure` uses.

What only Azure knows, such as the id of a principal, is a text in angle brackets that names it.
"""

import json
import operator
import re
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct

from tests.support.bicep.expressions import Tree
from tests.support.bicep.template import Declared, Template, read_template

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
    "%": operator.mod,
}


class BicepValueError(Exception):
    """A file that names what is not there, or calls what is not known here."""


class Resource(Struct, frozen=True, eq=False):
    """A resource: `type` without its version, `name` with those of its parents, `body` as it is deployed."""

    type: str
    version: str
    name: str
    existing: bool
    body: dict[str, Any]
    scope: str = ""

    @property
    def id(self) -> str:
        return f"/{self.type}/{self.name}"


class _Outputs(Struct, frozen=True):
    outputs: dict[str, Any]
    name: str


class Deployment:
    """A file with its parameters, and the files that it names as modules. `resources` has all that it deploys."""

    def __init__(self, path: Path, given: Mapping[str, Any]) -> None:
        """Raises BicepSyntaxError and BicepValueError."""
        self._path = path
        self._template: Template = read_template(path)
        self._values: dict[str, Any] = {}
        self._busy: set[str] = set()
        self._nested: list[Resource] = []
        self._given = given
        if unknown := given.keys() - self._template.parameters.keys():
            raise BicepValueError(f"{path.name} has no parameters {sorted(unknown)}")
        for name in (*self._template.parameters, *self._template.variables):
            self._named(name)
        own: list[Resource] = []
        for name in self._template.resources:
            value = self._named(name)
            own += [one for one in (value if isinstance(value, list) else [value]) if one is not None]
        for name in self._template.modules:
            self._named(name)
        self.outputs = {name: self._value(tree, {}) for name, tree in self._template.outputs.items()}
        self.resources = [one for one in own if not one.existing] + self._nested

    def _named(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._busy:
            raise BicepValueError(f"{self._path.name}: {name} needs itself")
        self._busy.add(name)
        template = self._template
        if name in template.parameters:
            default = template.parameters[name].default
            if name not in self._given and default is None:
                raise BicepValueError(f"{self._path.name} needs the parameter {name}")
            value = self._given[name] if name in self._given else self._value(default or (), {})
        elif name in template.variables:
            value = self._value(template.variables[name], {})
        elif name in template.resources:
            value = self._each(template.resources[name], self._resource)
        elif name in template.modules:
            value = self._each(template.modules[name], self._module)
        else:
            raise BicepValueError(f"{self._path.name} does not declare {name}")
        self._values[name] = value
        return value

    def _each(self, declared: Declared, make: Callable[[Declared, dict[str, Any]], Any]) -> Any:
        def one(tree: Tree, scope: dict[str, Any]) -> Any:
            if tree[0] == "only":
                return make(declared, self._value(tree[2], scope)) if self._value(tree[1], scope) else None
            return make(declared, self._value(tree, scope))

        if declared.body[0] != "for":
            return one(declared.body, {})
        return [one(declared.body[4], scope) for scope in self._scopes(declared.body, {})]

    def _resource(self, declared: Declared, body: dict[str, Any]) -> Resource:
        type_, _, version = declared.what.partition("@")
        parent, scope = body.pop("parent", None), body.pop("scope", None)
        body.pop("dependsOn", None)
        name = f"{parent.name}/{body['name']}" if parent is not None else body["name"]
        return Resource(type_, version, name, declared.existing, body, scope.id if isinstance(scope, Resource) else "")

    def _module(self, declared: Declared, body: dict[str, Any]) -> _Outputs:
        inner = Deployment(self._path.parent / declared.what, body.get("params", {}))
        self._nested += inner.resources
        return _Outputs(inner.outputs, body["name"])

    def _scopes(self, loop: Tree, scope: dict[str, Any]) -> list[dict[str, Any]]:
        _, item, index, over, _ = loop
        values = self._value(over, scope)
        return [{**scope, item: value, **({index: at} if index else {})} for at, value in enumerate(values)]

    def _value(self, tree: Tree, scope: dict[str, Any]) -> Any:
        """The value of an expression, where `scope` has what loops and lambdas name."""
        kind = tree[0]
        if kind == "literal":
            return tree[1]
        if kind == "text":
            return "".join(part if isinstance(part, str) else _shown(self._value(part, scope)) for part in tree[1])
        if kind == "name":
            return scope[tree[1]] if tree[1] in scope else self._named(tree[1])
        if kind == "member":
            return _member(self._value(tree[1], scope), self._value(tree[2], scope))
        if kind == "object":
            return {self._value(key, scope): self._value(value, scope) for key, value in tree[1]}
        if kind == "array":
            return [self._value(one, scope) for one in tree[1]]
        if kind == "for":
            return [self._value(tree[4], one) for one in self._scopes(tree, scope)]
        if kind == "if":
            return self._value(tree[2] if self._value(tree[1], scope) else tree[3], scope)
        if kind == "unary":
            value = self._value(tree[2], scope)
            return not value if tree[1] == "!" else -value
        if kind == "lambda":
            return lambda value: self._value(tree[2], {**scope, tree[1]: value})
        if kind == "operator":
            return self._operator(tree[1], tree[2], tree[3], scope)
        assert kind == "call"
        return self._call(tree[1], [self._value(one, scope) for one in tree[2]])

    def _operator(self, sign: str, left: Tree, right: Tree, scope: dict[str, Any]) -> Any:
        first = self._value(left, scope)
        if sign == "&&":
            return first and self._value(right, scope)
        if sign == "||":
            return first or self._value(right, scope)
        if sign == "??":
            return first if first is not None else self._value(right, scope)
        return _OPERATORS[sign](first, self._value(right, scope))

    def _call(self, name: str, arguments: list[Any]) -> Any:
        if name == "loadJsonContent":
            return json.loads((self._path.parent / arguments[0]).read_text(encoding="utf-8"))
        if name not in _FUNCTIONS:
            raise BicepValueError(f"{self._path.name}: the function {name} is not known here")
        return _FUNCTIONS[name](*arguments)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _member(value: Any, name: Any) -> Any:
    if isinstance(value, Resource):
        if name in ("id", "name", "type"):
            return getattr(value, name).rpartition("/")[2] if name == "name" else getattr(value, name)
        found = value.body.get(name)
        return _Unknown(f"{value.id}.{name}", found if isinstance(found, dict) else {})
    if isinstance(value, _Unknown):
        if name in value.known:
            found = value.known[name]
            return _Unknown(f"{value}.{name}", found) if isinstance(found, dict) else found
        return _Unknown(f"{value.inner}.{name}", {})
    if isinstance(value, _Outputs):
        return value.outputs if name == "outputs" else value.name
    if isinstance(value, list):
        return value[name]
    if name not in value:
        raise BicepValueError(f"there is no {name!r} among {sorted(value)}")
    return value[name]


class _Unknown(str):
    """A text in place of what Azure makes; `known` has what the file says of it."""

    __slots__ = ("inner", "known")
    inner: str
    known: dict[str, Any]

    def __new__(cls, inner: str, known: dict[str, Any]) -> "_Unknown":
        made = super().__new__(cls, f"<{inner}>")
        made.inner, made.known = inner, known
        return made


def _union(*values: Any) -> Any:
    if isinstance(values[0], list):
        merged_list: list[Any] = []
        for one in chain.from_iterable(values):
            if one not in merged_list:
                merged_list.append(one)
        return merged_list
    merged: dict[str, Any] = {}
    for value in values:
        for key, inner in value.items():
            both = isinstance(merged.get(key), dict) and isinstance(inner, dict)
            merged[key] = _union(merged[key], inner) if both else inner
    return merged


def _unique(*parts: Any) -> str:
    return re.sub(r"[^a-z]", "x", uuid5(NAMESPACE_URL, "/".join(map(str, parts))).hex)[:13]


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "any": lambda value: value,
    "concat": lambda *values: list(chain.from_iterable(values)),
    "contains": lambda where, what: what in where,
    "empty": lambda value: not value,
    "environment": lambda: {"authentication": {"loginEndpoint": "https://login.microsoftonline.com/"}},
    "filter": lambda values, keep: [one for one in values if keep(one)],
    "flatten": lambda values: list(chain.from_iterable(values)),
    "guid": lambda *parts: str(uuid5(NAMESPACE_URL, "/".join(map(str, parts)))),
    "int": int,
    "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
    "join": lambda values, between: between.join(values),
    "json": json.loads,
    "length": len,
    "map": lambda values, change: [change(one) for one in values],
    "max": max,
    "min": min,
    "range": lambda start, count: list(range(start, start + count)),
    "replace": lambda text, old, new: text.replace(old, new),
    "resourceGroup": lambda *_: {"id": "/rg", "name": "<resource group>", "location": "<location>"},
    "string": _shown,
    "subscription": lambda: {"id": "/subscription", "subscriptionId": "<subscription>", "tenantId": "<tenant>"},
    "subscriptionResourceId": lambda type_, name: f"/subscription/{type_}/{name}",
    "take": lambda value, count: value[:count],
    "tenant": lambda: {"tenantId": "<tenant>"},
    "toLower": lambda text: text.lower(),
    "toObject": lambda values, key, value=lambda one: one: {key(one): value(one) for one in values},
    "toUpper": lambda text: text.upper(),
    "union": _union,
    "uniqueString": _unique,
    "utcNow": lambda form: "2026-11-01" if form == "yyyy-MM-01" else f"<now {form}>",
}
