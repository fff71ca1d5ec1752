"""Query text to syntax tree."""

import re
import sys
from functools import lru_cache
from math import isinf
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, VisitError

from localcloud import grammar
from localcloud.cosmos.errors import BadRequestError, query_error
from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.syntax import Expression
from localcloud.cosmos.values import UNDEFINED

MAX_QUERY_BYTES = 512 * 1024


CLIENT_FILTER = "{documentdb-formattableorderbyquery-filter}"
"""Where a client puts a filter of its own into a query that the plan rewrote for it; it stands for true."""


@lru_cache(maxsize=512)
def parse(text: str) -> syntax.Query:
    """Raises BadRequestError, with the position in the message, for a text that is not a query."""
    if len(text.encode()) > MAX_QUERY_BYTES:
        raise BadRequestError(f"The SQL query text exceeded the maximum limit of {MAX_QUERY_BYTES} bytes.")
    try:
        tree = _grammar().parse(text.replace(CLIENT_FILTER, "true"))
        return _Builder().transform(tree)
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    except VisitError as error:
        if isinstance(error.orig_exc, BadRequestError):
            raise error.orig_exc from None
        raise


@lru_cache(maxsize=1)
def _grammar() -> Lark:
    text = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return grammar.parser("cosmos-grammar", text, ["start"])


def _syntax_error(text: str, error: UnexpectedInput) -> BadRequestError:
    token = str(getattr(error, "token", ""))
    start: int | None = getattr(error, "pos_in_stream", None)  # lark leaves it untyped
    if isinstance(error, UnexpectedCharacters) and start is not None:
        token = text[start]
    if not token or start is None:
        start, near = len(text), "the end of the query"
    else:
        near = repr(token)
    end = start + len(token)
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return query_error(
        "SC1001",
        f"Syntax error, incorrect syntax near {near}, line {line}, column {column}.",
        location={"start": start, "end": end},
    )


_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def _unquote(literal: str) -> str:
    def character(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if len(escape) == 5 else _ESCAPED.get(escape, escape)

    text = _ESCAPE.sub(character, literal[1:-1])
    # Characters beyond the basic plane are escaped as two: a surrogate pair.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if "\\u" in literal else text


def _number(literal: str) -> int | float:
    number = float(literal)
    if isinf(number):
        raise BadRequestError(f"The number {literal[:40]} is beyond what a number can be, {sys.float_info.max}.")
    return int(literal) if literal.isdigit() else number


@v_args(inline=True)
class _Builder(Transformer[Token, syntax.Query]):
    """Each method takes a rule's children. Keywords among them are tokens, told by their type.

    A clause gives the field of `syntax.Query` that it fills and the value, or "" and several of them.
    """

    def start(self, query: syntax.Query) -> syntax.Query:
        return query

    def query(self, _select: Token, *clauses: tuple[str, Any]) -> syntax.Query:
        fields: dict[str, Any] = {}
        for name, value in clauses:
            fields |= value if name == "" else {name: value}
        return syntax.Query(**fields)

    def distinct(self, _keyword: Token) -> tuple[str, object]:
        return "distinct", True

    def top(self, _keyword: Token, count: Token) -> tuple[str, object]:
        return "top", _count(count)

    def select_star(self, _star: Token) -> tuple[str, object]:
        return "", {"items": None}

    def select_value(self, _keyword: Token, expression: Expression) -> tuple[str, object]:
        return "", {"items": (syntax.SelectItem(expression),), "value": True}

    def select_list(self, *items: syntax.SelectItem) -> tuple[str, object]:
        return "items", items

    def select_item(self, expression: Expression, *alias: Token) -> syntax.SelectItem:
        return syntax.SelectItem(expression, str(alias[-1]) if alias else None)

    def from_clause(self, _keyword: Token, *sources: syntax.FromSource) -> tuple[str, object]:
        return "sources", sources

    def join(self, _keyword: Token, source: syntax.FromSource) -> syntax.FromSource:
        return source

    def from_alias(self, collection: Expression, *alias: Token) -> syntax.FromSource:
        if alias:
            return syntax.FromSource(str(alias[-1]), collection)
        if isinstance(collection, syntax.Name):
            return syntax.FromSource(collection.name, collection)
        if isinstance(collection, syntax.Member) and isinstance(collection.key, syntax.Constant):
            return syntax.FromSource(str(collection.key.value), collection)
        raise BadRequestError("A subquery in FROM needs an alias: FROM (SELECT …) AS name.")

    def from_in(self, alias: Token, _in: Token, collection: Expression) -> syntax.FromSource:
        return syntax.FromSource(str(alias), collection, iterated=True)

    def collection_path(self, name: Token, *steps: Expression) -> Expression:
        node: Expression = syntax.Name(str(name))
        for step in steps:
            node = syntax.Member(node, step)
        return node

    def collection_query(self, query: syntax.Query) -> Expression:
        return syntax.Subquery("", query)

    def where(self, _keyword: Token, condition: Expression) -> tuple[str, object]:
        return "where", condition

    def group_by(self, _group: Token, _by: Token, *expressions: Expression) -> tuple[str, object]:
        return "group_by", expressions

    def order_by(self, _order: Token, _by: Token, *items: syntax.SortItem) -> tuple[str, object]:
        return "order_by", items

    def sort_item(self, expression: Expression, *direction: Token) -> syntax.SortItem:
        return syntax.SortItem(expression, bool(direction) and direction[0].type == "DESC")

    def offset_limit(self, _offset: Token, offset: Token, _limit: Token, limit: Token) -> tuple[str, object]:
        return "", {"offset": _count(offset), "limit": _count(limit)}

    def conditional(self, test: Expression, then: Expression, otherwise: Expression) -> Expression:
        return syntax.Conditional(test, then, otherwise)

    def coalesced(self, left: Expression, right: Expression) -> Expression:
        return syntax.Binary("??", left, right)

    def binary(self, left: Expression, operator: Token, right: Expression) -> Expression:
        name = operator.upper()
        return syntax.Binary("!=" if name == "<>" else name, left, right)

    def unary(self, operator: Token, operand: Expression) -> Expression:
        return syntax.Unary(operator.upper(), operand)

    def in_list(self, operand: Expression, *rest: Expression | Token) -> Expression:
        choices = tuple(item for item in rest if not isinstance(item, Token))
        return syntax.In(operand, choices, negated=_negated(rest))

    def between(self, operand: Expression, *rest: Expression | Token) -> Expression:
        low, high = (item for item in rest if not isinstance(item, Token))
        return syntax.Between(operand, low, high, negated=_negated(rest))

    def like(self, operand: Expression, *rest: Expression | Token) -> Expression:
        pattern, *escape = (item for item in rest if not isinstance(item, Token))
        return syntax.Like(operand, pattern, escape[0] if escape else None, negated=_negated(rest))

    def member(self, *children: Expression | Token) -> Expression:
        key = syntax.Constant(str(children[-1]))
        return syntax.Member(children[0], key) if len(children) == 2 else key  # type: ignore[arg-type]

    def index(self, *children: Expression) -> Expression:
        return syntax.Member(children[0], children[1]) if len(children) == 2 else children[0]

    def string(self, token: Token) -> Expression:
        return syntax.Constant(_unquote(token))

    def number(self, token: Token) -> Expression:
        return syntax.Constant(_number(token))

    def true(self, _token: Token) -> Expression:
        return syntax.Constant(True)

    def false(self, _token: Token) -> Expression:
        return syntax.Constant(False)

    def null(self, _token: Token) -> Expression:
        return syntax.Constant(None)

    def undefined(self, _token: Token) -> Expression:
        return syntax.Constant(UNDEFINED)

    def parameter(self, token: Token) -> Expression:
        return syntax.Parameter(str(token))

    def name(self, token: Token) -> Expression:
        return syntax.Name(str(token))

    def call(self, name: Token, *arguments: Expression) -> Expression:
        return syntax.Call(name.upper(), arguments)

    def qualified_call(self, of: Expression, name: Token, *_arguments: Expression) -> Expression:
        raise BadRequestError(
            f"The function {syntax.text_of(of)}.{name} is not known: there are no user-defined functions."
        )

    def exists(self, _keyword: Token, query: syntax.Query) -> Expression:
        return syntax.Subquery("EXISTS", query)

    def array_query(self, _keyword: Token, query: syntax.Query) -> Expression:
        return syntax.Subquery("ARRAY", query)

    def array_of(self, _keyword: Token, expression: Expression) -> Expression:
        return syntax.Subquery("ARRAY", syntax.Query((syntax.SelectItem(expression),), value=True))

    def scalar_query(self, query: syntax.Query) -> Expression:
        return syntax.Subquery("", query)

    def array(self, *items: Expression) -> Expression:
        return syntax.ArrayOf(items)

    def object(self, *properties: tuple[str, Expression]) -> Expression:
        return syntax.ObjectOf(properties)

    def property(self, key: Token, value: Expression) -> tuple[str, Expression]:
        return (_unquote(key) if key.type == "STRING" else str(key)), value


def _negated(children: tuple[Expression | Token, ...]) -> bool:
    return any(isinstance(child, Token) and child.type == "NOT" for child in children)


def _count(token: Token) -> Expression:
    return syntax.Parameter(str(token)) if token.type == "PARAMETER" else syntax.Constant(_number(token))
