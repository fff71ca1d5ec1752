"""Expressions compiled to closures over a row: a mapping of FROM aliases to values."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.functions import AGGREGATES, CLOCKS, FUNCTIONS
from localcloud.cosmos.query.functions.numbers import is_number, to_json_number
from localcloud.cosmos.query.functions.text import concat, like_pattern
from localcloud.cosmos.query.syntax import Expression
from localcloud.cosmos.values import UNDEFINED, Undefined, compare, equal

Row = dict[str, object]
Evaluate = Callable[[Row], object]

ROOT = ""  # the row's entry that holds the whole document


@dataclass(slots=True)
class Context:
    """What an expression may refer to. `aggregates` collects the aggregate calls it contains, in order:
    their results are read from the row's entries `$0`, `$1` and so on. None where aggregates are not allowed."""

    parameters: Mapping[str, object]
    now_ms: int
    names: frozenset[str] = frozenset()
    aggregates: list[tuple[str, Evaluate]] | None = None
    query: Callable[["Context", syntax.Query], Callable[[Row], list[object]]] | None = field(default=None)

    def without_aggregates(self) -> "Context":
        return Context(self.parameters, self.now_ms, self.names, None, self.query)


def compile_expression(node: Expression, context: Context) -> Evaluate:
    """Raises BadRequestError for a name, parameter or function that is not known."""
    match node:
        case syntax.Constant(value):
            return lambda row: value
        case syntax.Parameter(name):
            if name in context.names:
                return operator.itemgetter(name)
            if name not in context.parameters:
                raise BadRequestError(f"The query uses the parameter {name}, but no value for it was given.")
            given = context.parameters[name]
            return lambda row: given
        case syntax.Name(name):
            if name not in context.names:
                raise BadRequestError(
                    f"Identifier '{name}' could not be resolved: the FROM clause names "
                    f"{', '.join(sorted(context.names)) or 'nothing'}."
                )
            return operator.itemgetter(name)
        case syntax.Member():
            return _member(node, context)
        case syntax.Unary(symbol, operand):
            return _unary(symbol, compile_expression(operand, context))
        case syntax.Binary(symbol, left, right):
            return _binary(symbol, compile_expression(left, context), compile_expression(right, context))
        case syntax.Conditional(test, then, otherwise):
            return _conditional(*(compile_expression(part, context) for part in (test, then, otherwise)))
        case syntax.In(operand, choices, negated):
            return _negate(
                _in(compile_expression(operand, context), [compile_expression(c, context) for c in choices]), negated
            )
        case syntax.Between(operand, low, high, negated):
            value = compile_expression(operand, context)
            above = _binary(">=", value, compile_expression(low, context))
            below = _binary("<=", value, compile_expression(high, context))
            return _negate(_binary("AND", above, below), negated)
        case syntax.Like():
            return _like(node, context)
        case syntax.Call(function, arguments):
            return _call(function, arguments, context)
        case syntax.ArrayOf(items):
            parts = [compile_expression(item, context) for item in items]
            return lambda row: [value for part in parts if (value := part(row)) is not UNDEFINED]
        case syntax.ObjectOf(properties):
            fields = [(key, compile_expression(value, context)) for key, value in properties]
            return lambda row: build_object(fields, row)
        case syntax.Subquery(form, query):
            return _subquery(form, query, context)


def build_object(fields: list[tuple[str, Evaluate]], row: Row) -> dict[str, object]:
    return {key: value for key, evaluate in fields if (value := evaluate(row)) is not UNDEFINED}


def _member(node: syntax.Member, context: Context) -> Evaluate:
    of = compile_expression(node.of, context)
    if isinstance(node.key, syntax.Constant) and isinstance(node.key.value, str):
        name = node.key.value

        def by_name(row: Row) -> object:
            value = of(row)
            return value.get(name, UNDEFINED) if isinstance(value, dict) else UNDEFINED

        return by_name
    key = compile_expression(node.key, context)

    def by_value(row: Row) -> object:
        value, at = of(row), key(row)
        if isinstance(value, dict) and isinstance(at, str):
            return value.get(at, UNDEFINED)
        if isinstance(value, list) and is_number(at) and 0 <= at < len(value) and at == int(at):  # type: ignore[operator, call-overload]
            return value[int(at)]  # type: ignore[call-overload]  # a number
        return UNDEFINED

    return by_value


def _unary(symbol: str, operand: Evaluate) -> Evaluate:
    if symbol == "NOT":

        def negation(row: Row) -> object:
            value = operand(row)
            return not value if isinstance(value, bool) else UNDEFINED

        return negation

    def arithmetic(row: Row) -> object:
        value = operand(row)
        if not is_number(value):
            return UNDEFINED
        if symbol == "~":
            return ~_int32(value)  # type: ignore[arg-type]  # a number
        return -value if symbol == "-" else value  # type: ignore[operator]  # a number

    return arithmetic


def _negate(evaluate: Evaluate, negated: bool) -> Evaluate:
    return _unary("NOT", evaluate) if negated else evaluate


def _conditional(test: Evaluate, then: Evaluate, otherwise: Evaluate) -> Evaluate:
    return lambda row: then(row) if test(row) is True else otherwise(row)


def _binary(symbol: str, left: Evaluate, right: Evaluate) -> Evaluate:
    match symbol:
        case "AND":
            return lambda row: _and(left(row), right, row)
        case "OR":
            return lambda row: _or(left(row), right, row)
        case "??":
            return lambda row: right(row) if (value := left(row)) is UNDEFINED else value
        case "=":
            return lambda row: equal(left(row), right(row))
        case "!=":
            return lambda row: _not(equal(left(row), right(row)))
        case "||":
            return lambda row: concat(left(row), right(row))
    if symbol in _COMPARISONS:
        test = _COMPARISONS[symbol]

        def comparison(row: Row) -> object:
            order = compare(left(row), right(row))
            return UNDEFINED if order is UNDEFINED else test(order, 0)

        return comparison
    calculate = _ARITHMETIC[symbol]

    def arithmetic(row: Row) -> object:
        first, second = left(row), right(row)
        if not is_number(first) or not is_number(second):
            return UNDEFINED
        try:
            return to_json_number(calculate(first, second))
        except (ZeroDivisionError, OverflowError, ValueError):
            return UNDEFINED

    return arithmetic


def _and(left: object, right: Evaluate, row: Row) -> object:
    if left is False:
        return False
    value = right(row)
    if value is False:
        return False
    return True if left is True and value is True else UNDEFINED


def _or(left: object, right: Evaluate, row: Row) -> object:
    if left is True:
        return True
    value = right(row)
    if value is True:
        return True
    return False if left is False and value is False else UNDEFINED


def _not(value: bool | Undefined) -> object:
    return UNDEFINED if value is UNDEFINED else not value


def _int32(number: float) -> int:
    return (int(number) + 2**31) % 2**32 - 2**31


def _remainder(left: float, right: float) -> float:
    """The sign is the dividend's, as in JavaScript."""
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Bitwise operators are JavaScript's: on 32 bits, with the shift count modulo 32.
_ARITHMETIC: dict[str, Callable[..., float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": _remainder,
    "&": lambda a, b: _int32(a) & _int32(b),
    "|": lambda a, b: _int32(a) | _int32(b),
    "^": lambda a, b: _int32(a) ^ _int32(b),
    "<<": lambda a, b: _int32(_int32(a) << (int(b) & 31)),
    ">>": lambda a, b: _int32(a) >> (int(b) & 31),
    ">>>": lambda a, b: (_int32(a) & 0xFFFFFFFF) >> (int(b) & 31),
}


def _in(operand: Evaluate, choices: list[Evaluate]) -> Evaluate:
    def is_in(row: Row) -> object:
        value = operand(row)
        if value is UNDEFINED:
            return UNDEFINED
        return any(equal(value, choice(row)) is True for choice in choices)

    return is_in


def _like(node: syntax.Like, context: Context) -> Evaluate:
    operand, pattern = compile_expression(node.operand, context), compile_expression(node.pattern, context)
    escape = compile_expression(node.escape, context) if node.escape is not None else lambda row: ""

    def like(row: Row) -> object:
        value, form, character = operand(row), pattern(row), escape(row)
        if not isinstance(value, str) or not isinstance(form, str) or not isinstance(character, str):
            return UNDEFINED
        return like_pattern(form, character).fullmatch(value) is not None

    return _negate(like, node.negated)


def _call(function: str, arguments: tuple[Expression, ...], context: Context) -> Evaluate:
    if function in AGGREGATES:
        return _aggregate(function, arguments, context)
    if function in CLOCKS:
        moment = CLOCKS[function](context.now_ms)
        return lambda row: moment
    known = FUNCTIONS.get(function)
    if known is None:
        raise BadRequestError(f"'{function}' is not a recognized built-in function name.")
    if not known.least <= len(arguments) <= known.most:
        raise BadRequestError(
            f"The function {function} takes {known.least} to {known.most} arguments, but {len(arguments)} are given."
        )
    evaluate = known.evaluate
    parts = [compile_expression(argument, context) for argument in arguments]
    if len(parts) == 1:
        only = parts[0]
        return lambda row: evaluate(only(row))
    return lambda row: evaluate(*[part(row) for part in parts])


def _aggregate(function: str, arguments: tuple[Expression, ...], context: Context) -> Evaluate:
    if context.aggregates is None:
        raise BadRequestError(f"The aggregate {function} is not allowed here: only SELECT and ORDER BY may have one.")
    if len(arguments) != 1:
        raise BadRequestError(f"The aggregate {function} takes one argument, but {len(arguments)} are given.")
    slot = f"${len(context.aggregates)}"
    context.aggregates.append((function, compile_expression(arguments[0], context.without_aggregates())))
    return operator.itemgetter(slot)


def _subquery(form: str, query: syntax.Query, context: Context) -> Evaluate:
    assert context.query is not None
    run = context.query(context, query)
    if form == "EXISTS":
        return lambda row: bool(run(row))
    if form == "ARRAY":
        return run

    def scalar(row: Row) -> object:
        results = run(row)
        return results[0] if results else UNDEFINED

    return scalar
