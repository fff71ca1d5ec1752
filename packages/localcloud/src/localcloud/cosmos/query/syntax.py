"""The syntax tree of a query: frozen values, and the text they stand for."""

import json
from dataclasses import dataclass
from typing import TypeAlias

from localcloud.cosmos.values import UNDEFINED


@dataclass(frozen=True, slots=True)
class Constant:
    value: object  # None, bool, int, float, str or UNDEFINED


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str


@dataclass(frozen=True, slots=True)
class Name:
    """An alias of the FROM clause."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`of.x`, `of["x"]` or `of[i]`."""

    of: "Expression"
    key: "Expression"


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Conditional:
    test: "Expression"
    then: "Expression"
    otherwise: "Expression"


@dataclass(frozen=True, slots=True)
class In:
    operand: "Expression"
    choices: tuple["Expression", ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    operand: "Expression"
    low: "Expression"
    high: "Expression"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like:
    operand: "Expression"
    pattern: "Expression"
    escape: "Expression | None" = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function's name is upper case."""

    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    properties: tuple[tuple[str, "Expression"], ...]


@dataclass(frozen=True, slots=True)
class Subquery:
    """`form` is EXISTS, ARRAY or "" for a scalar."""

    form: str
    query: "Query"


Expression: TypeAlias = (
    Constant
    | Parameter
    | Name
    | Member
    | Unary
    | Binary
    | Conditional
    | In
    | Between
    | Like
    | Call
    | ArrayOf
    | ObjectOf
    | Subquery
)


@dataclass(frozen=True, slots=True)
class FromSource:
    """One FROM or JOIN. `iterated` is the form `x IN collection`; `of` is an expression or a subquery."""

    alias: str
    of: "Expression"
    iterated: bool = False


@dataclass(frozen=True, slots=True)
class SelectItem:
    expression: Expression
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class SortItem:
    expression: Expression
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """`items` is None for `SELECT *`; `value` says `SELECT VALUE`, which has one item."""

    items: tuple[SelectItem, ...] | None
    value: bool = False
    distinct: bool = False
    top: Expression | None = None
    sources: tuple[FromSource, ...] = ()
    where: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    order_by: tuple[SortItem, ...] = ()
    offset: Expression | None = None
    limit: Expression | None = None


def text_of_query(query: Query) -> str:
    """A query text that parses to this tree."""
    parts = ["SELECT"]
    if query.distinct:
        parts.append("DISTINCT")
    if query.top is not None:
        parts.append(f"TOP {text_of(query.top)}")
    if query.items is None:
        parts.append("*")
    elif query.value:
        parts.append(f"VALUE {text_of(query.items[0].expression)}")
    else:
        parts.append(", ".join(text_of(i.expression) + (f" AS {i.alias}" if i.alias else "") for i in query.items))
    for number, source in enumerate(query.sources):
        parts.append(f"{'JOIN' if number else 'FROM'} {_text_of_source(source)}")
    if query.where is not None:
        parts.append(f"WHERE {text_of(query.where)}")
    if query.group_by:
        parts.append("GROUP BY " + ", ".join(map(text_of, query.group_by)))
    if query.order_by:
        parts.append(
            "ORDER BY "
            + ", ".join(f"{text_of(s.expression)} {'DESC' if s.descending else 'ASC'}" for s in query.order_by)
        )
    if query.offset is not None and query.limit is not None:
        parts.append(f"OFFSET {text_of(query.offset)} LIMIT {text_of(query.limit)}")
    return " ".join(parts)


def _text_of_source(source: FromSource) -> str:
    text = text_of(source.of)
    if source.iterated:
        return f"{source.alias} IN {text}"
    return text if source.of == Name(source.alias) else f"{text} AS {source.alias}"


def text_of(node: Expression) -> str:
    """The text of an expression, with brackets wherever they could matter."""
    match node:
        case Constant(value):
            return "undefined" if value is UNDEFINED else json.dumps(value)
        case Parameter(name) | Name(name):
            return name
        case Member(of, key):
            return f"{text_of(of)}[{text_of(key)}]"
        case Unary(operator, operand):
            return f"({operator} {text_of(operand)})"
        case Binary(operator, left, right):
            return f"({text_of(left)} {operator} {text_of(right)})"
        case Conditional(test, then, otherwise):
            return f"({text_of(test)} ? {text_of(then)} : {text_of(otherwise)})"
        case In(operand, choices, negated):
            return f"({text_of(operand)}{' NOT' * negated} IN ({', '.join(map(text_of, choices))}))"
        case Between(operand, low, high, negated):
            return f"({text_of(operand)}{' NOT' * negated} BETWEEN {text_of(low)} AND {text_of(high)})"
        case Like(operand, pattern, escape, negated):
            tail = f" ESCAPE {text_of(escape)}" if escape is not None else ""
            return f"({text_of(operand)}{' NOT' * negated} LIKE {text_of(pattern)}{tail})"
        case Call(function, arguments):
            return f"{function}({', '.join(map(text_of, arguments))})"
        case ArrayOf(items):
            return f"[{', '.join(map(text_of, items))}]"
        case ObjectOf(properties):
            return "{" + ", ".join(f"{json.dumps(key)}: {text_of(value)}" for key, value in properties) + "}"
        case Subquery(form, query):
            return f"{form}({text_of_query(query)})"
