"""The only values of a property with which a filter can be true.

An item outside the bounds can't match, so candidates may be narrowed by them; the filter is still evaluated.
"""

import itertools
from collections.abc import Mapping

from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.syntax import Expression
from localcloud.cosmos.values import UNDEFINED

MAX_COMBINATIONS = 1000


def root_alias(query: syntax.Query) -> str | None:
    """The alias that stands for the whole document, when the first source is it."""
    if query.sources:
        source = query.sources[0]
        if isinstance(source.of, syntax.Name) and not source.iterated:
            return source.alias
    return None


def bounds(query: syntax.Query, path: tuple[str, ...], parameters: Mapping[str, object]) -> tuple[object, ...] | None:
    """Scalars, one of which the property at `path` has in each match; None when there is no such list."""
    alias = root_alias(query)
    if alias is None or query.where is None or any(s.alias == alias for s in query.sources[1:]):
        return None
    target: Expression = syntax.Name(alias)
    for name in path:
        target = syntax.Member(target, syntax.Constant(name))
    return _bounds(query.where, target, parameters)


def combinations(
    query: syntax.Query, paths: tuple[tuple[str, ...], ...], parameters: Mapping[str, object]
) -> list[tuple[object, ...]] | None:
    """The tuples of values for several properties, when each has bounds and they are not too many."""
    each = [bounds(query, path, parameters) for path in paths]
    known = [values for values in each if values is not None]
    if len(known) < len(each):
        return None
    total = 1
    for values in known:
        total *= len(values)
    return list(itertools.product(*known)) if total <= MAX_COMBINATIONS else None


def _bounds(node: Expression, target: Expression, parameters: Mapping[str, object]) -> tuple[object, ...] | None:
    match node:
        case syntax.Binary("AND", left, right):
            first, second = _bounds(left, target, parameters), _bounds(right, target, parameters)
            known = [found for found in (first, second) if found is not None]
            return min(known, key=len) if known else None
        case syntax.Binary("OR", left, right):
            first, second = _bounds(left, target, parameters), _bounds(right, target, parameters)
            return None if first is None or second is None else _unique(first + second)
        case syntax.Binary("=", left, right) if target in (left, right):
            return _values((right if left == target else left,), parameters)
        case syntax.In(operand, choices, False) if operand == target:
            return _values(choices, parameters)
    return None


def _values(nodes: tuple[Expression, ...], parameters: Mapping[str, object]) -> tuple[object, ...] | None:
    values: list[object] = []
    for node in nodes:
        value = parameters.get(node.name, UNDEFINED) if isinstance(node, syntax.Parameter) else None
        if isinstance(node, syntax.Constant):
            value = node.value
        elif not isinstance(node, syntax.Parameter):
            return None
        if value is UNDEFINED or isinstance(value, list | dict):
            return None
        values.append(value)
    return _unique(tuple(values))


def _unique(values: tuple[object, ...]) -> tuple[object, ...]:
    return tuple({(type(value), value): value for value in values}.values())
