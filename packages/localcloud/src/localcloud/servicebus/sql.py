"""The SQL of rules: filters with three-valued logic, and actions.

Source: "Subscription rule SQL filter syntax" and "Subscription rule SQL action syntax" (Microsoft Learn). Where that
leaves a choice: values of types that can't be compared give unknown, as a missing property does; arithmetic that has
no meaning (a division by zero, a number plus a boolean) and a system property that does not exist raise FilterError;
a predicate may stand wherever an expression may. Text is compared exactly, case included; property names are not.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple
from uuid import uuid4

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from localcloud import grammar
from localcloud.servicebus.errors import InvalidArgumentError
from localcloud.servicebus.like_pattern import like
from localcloud.servicebus.sql_values import FilterError, Value, calculated, compared

MAX_LENGTH: Final = 1024
MAX_DEPTH: Final = 100

Expression = Callable[["MessageView"], Value]


class MessageView(NamedTuple):
    """A message as a rule sees it; the names of its properties are in lower case."""

    system: Mapping[str, Value]
    user: Mapping[str, Value]


GRAMMAR: Final = r"""
?filter: predicate
actions: action (";"? action)* ";"?
action: SET property EQUAL predicate -> set
      | REMOVE property -> remove

?predicate: conjunction
          | predicate OR conjunction -> or_
?conjunction: negation
            | conjunction AND negation -> and_
?negation: comparison
         | NOT negation -> not_
?comparison: sum
           | sum (COMPARE | EQUAL) sum -> compare
           | sum IS NULL -> is_null
           | sum IS NOT NULL -> is_not_null
           | sum IN "(" sum ("," sum)* ")" -> in_
           | sum NOT IN "(" sum ("," sum)* ")" -> not_in
           | sum LIKE sum (ESCAPE sum)? -> like
           | sum NOT LIKE sum (ESCAPE sum)? -> not_like
           | EXISTS "(" property ")" -> exists
?sum: product
    | sum /[+-]/ product -> arithmetic
?product: unary
        | product /[*\/%]/ unary -> arithmetic
?unary: atom
      | /[+-]/ unary -> sign
?atom: INTEGER -> integer
     | DECIMAL -> decimal
     | STRING -> string
     | TRUE -> true
     | FALSE -> false
     | NULL -> null
     | PARAMETER -> parameter
     | PROPERTY_OF "(" predicate ")" -> property_of
     | NEWID "(" ")" -> newid
     | property
     | "(" predicate ")"
property: (SCOPE)? (NAME | QUOTED | DELIMITED)

AND.2: /AND\b/i
OR.2: /OR\b/i
NOT.2: /NOT\b/i
IS.2: /IS\b/i
IN.2: /IN\b/i
LIKE.2: /LIKE\b/i
ESCAPE.2: /ESCAPE\b/i
EXISTS.2: /EXISTS\b/i
NULL.2: /NULL\b/i
TRUE.2: /TRUE\b/i
FALSE.2: /FALSE\b/i
SET.2: /SET\b/i
REMOVE.2: /REMOVE\b/i
NEWID.2: /NEWID(?=\s*\()/i
PROPERTY_OF.2: /(PROPERTY|P)(?=\s*\()/i
SCOPE.3: /(sys|user)\s*\.\s*/i
EQUAL: "="
COMPARE: "<=" | ">=" | "<>" | "!=" | "<" | ">"
NAME: /[^\W\d_]\w*/
QUOTED: /"([^"]|"")+"/
DELIMITED: /\[([^\]]|\]\])+\]/
PARAMETER: /@\w+/
DECIMAL.1: /(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?/
INTEGER: /\d+/
STRING: /'([^']|'')*'/
%ignore /\s+/
"""

SYSTEM: Final = frozenset(
    "contenttype correlationid deliverycount enqueuedtimeutc enqueuedsequencenumber expiresatutc label subject"
    " messageid partitionkey replyto replytosessionid scheduledenqueuetimeutc sequencenumber sessionid size state"
    " timetolive to viapartitionkey".split()
)
SETTABLE: Final = frozenset(
    "contenttype correlationid label subject messageid replyto replytosessionid sessionid to".split()
)


@cache
def _parser() -> Lark:
    return grammar.parser("servicebus-grammar", GRAMMAR, ["filter", "actions"])


def compile_filter(text: str, parameters: Mapping[str, Value]) -> Callable[[MessageView], bool | None]:
    """The predicate: true, false, or None for unknown; it may raise FilterError.

    `parameters` are by name, with or without the @. Raises InvalidArgumentError for what is no filter.
    """
    expression = _Compiler(parameters).expression(_parse(text, "filter"))
    return lambda view: _truth(expression(view))


class Assignment(NamedTuple):
    """SET (with `value`) or REMOVE (None) of one property; `name` in lower case for system properties."""

    system: bool
    name: str
    value: Expression | None


def compile_action(text: str, parameters: Mapping[str, Value]) -> list[Assignment]:
    """The assignments in their order. Raises InvalidArgumentError for what is no action."""
    tree = _parse(text, "actions")
    compiler = _Compiler(parameters)
    return [compiler.assignment(child) for child in tree.children if isinstance(child, Tree)]


def _parse(text: str, start: str) -> Tree[Token]:
    if len(text) > MAX_LENGTH:
        raise InvalidArgumentError(f"the SQL expression has {len(text)} characters; allowed are {MAX_LENGTH}")
    try:
        tree = _parser().parse(text, start=start)
    except UnexpectedInput as error:
        place = error.get_context(text, 20).strip("\n")
        raise InvalidArgumentError(f"the SQL expression is wrong at column {error.column}:\n{place}") from None
    layer: list[Tree[Token] | Token] = [tree]
    for _ in range(MAX_DEPTH):
        layer = [child for node in layer if isinstance(node, Tree) for child in node.children]
        if not layer:
            return tree
    raise InvalidArgumentError(f"the SQL expression is nested deeper than {MAX_DEPTH}")


class _Compiler:
    """From a parse tree to functions of a message."""

    def __init__(self, parameters: Mapping[str, Value]) -> None:
        self._parameters = {name.lstrip("@").lower(): value for name, value in parameters.items()}

    def expression(self, node: Tree[Token] | Token) -> Expression:
        assert isinstance(node, Tree)
        method: Callable[[list[Tree[Token] | Token]], Expression] = getattr(self, f"_{node.data}")
        return method(node.children)

    def assignment(self, node: Tree[Token]) -> Assignment:
        trees = [child for child in node.children if isinstance(child, Tree)]
        system, name = _name(trees[0])
        if system and name not in SETTABLE:
            raise InvalidArgumentError(f"sys.{name} can't be set: these can, {', '.join(sorted(SETTABLE))}")
        return Assignment(system, name, self.expression(trees[1]) if node.data == "set" else None)

    def _operands(self, children: list[Tree[Token] | Token]) -> list[Expression]:
        return [self.expression(child) for child in children if isinstance(child, Tree)]

    def _or_(self, children: list[Tree[Token] | Token]) -> Expression:
        left, right = self._operands(children)

        def evaluate(view: MessageView) -> bool | None:
            first = _truth(left(view))
            if first is True:
                return True
            second = _truth(right(view))
            return True if second is True else None if first is None or second is None else False

        return evaluate

    def _and_(self, children: list[Tree[Token] | Token]) -> Expression:
        left, right = self._operands(children)

        def evaluate(view: MessageView) -> bool | None:
            first = _truth(left(view))
            if first is False:
                return False
            second = _truth(right(view))
            return False if second is False else None if first is None or second is None else True

        return evaluate

    def _not_(self, children: list[Tree[Token] | Token]) -> Expression:
        (operand,) = self._operands(children)
        return lambda view: _negated(_truth(operand(view)))

    def _compare(self, children: list[Tree[Token] | Token]) -> Expression:
        left, right = self._operands(children)
        symbol = next(str(child) for child in children if isinstance(child, Token))
        return lambda view: compared(symbol, left(view), right(view))

    def _is_null(self, children: list[Tree[Token] | Token]) -> Expression:
        (operand,) = self._operands(children)
        return lambda view: operand(view) is None

    def _is_not_null(self, children: list[Tree[Token] | Token]) -> Expression:
        (operand,) = self._operands(children)
        return lambda view: operand(view) is not None

    def _in_(self, children: list[Tree[Token] | Token]) -> Expression:
        left, *others = self._operands(children)

        def evaluate(view: MessageView) -> bool | None:
            value = left(view)
            if value is None:
                return None
            answers = [compared("=", value, other(view)) for other in others]
            return True if True in answers else None if None in answers else False

        return evaluate

    def _not_in(self, children: list[Tree[Token] | Token]) -> Expression:
        inside = self._in_(children)
        return lambda view: _negated(_truth(inside(view)))

    def _like(self, children: list[Tree[Token] | Token]) -> Expression:
        operands = self._operands(children)

        def evaluate(view: MessageView) -> bool | None:
            values = [operand(view) for operand in operands]
            if None in values:
                return None
            texts = [value for value in values if isinstance(value, str)]
            if len(texts) < len(values):
                return None
            escape = texts[2] if len(texts) == 3 else ""
            if len(texts) == 3 and len(escape) != 1:
                raise FilterError(f"ESCAPE takes one character, not {escape!r}")
            return like(texts[0], texts[1], escape)

        return evaluate

    def _not_like(self, children: list[Tree[Token] | Token]) -> Expression:
        alike = self._like(children)
        return lambda view: _negated(_truth(alike(view)))

    def _exists(self, children: list[Tree[Token] | Token]) -> Expression:
        system, name = _name(next(child for child in children if isinstance(child, Tree)))
        if system:
            return lambda view: view.system.get(name) is not None
        return lambda view: name.lower() in view.user

    def _arithmetic(self, children: list[Tree[Token] | Token]) -> Expression:
        left, right = self._operands(children)
        symbol = next(str(child) for child in children if isinstance(child, Token))
        return lambda view: calculated(symbol, left(view), right(view))

    def _sign(self, children: list[Tree[Token] | Token]) -> Expression:
        (operand,) = self._operands(children)
        symbol = str(children[0])
        return lambda view: calculated(symbol, 0, operand(view))

    def _integer(self, children: list[Tree[Token] | Token]) -> Expression:
        value = int(str(children[0]))
        if value >= 1 << 63:
            raise InvalidArgumentError(f"the integer {value} does not fit in 64 bits")
        return lambda _: value

    def _decimal(self, children: list[Tree[Token] | Token]) -> Expression:
        value = float(str(children[0]))
        return lambda _: value

    def _string(self, children: list[Tree[Token] | Token]) -> Expression:
        value = str(children[0])[1:-1].replace("''", "'")
        return lambda _: value

    def _true(self, children: list[Tree[Token] | Token]) -> Expression:
        return lambda _: True

    def _false(self, children: list[Tree[Token] | Token]) -> Expression:
        return lambda _: False

    def _null(self, children: list[Tree[Token] | Token]) -> Expression:
        return lambda _: None

    def _parameter(self, children: list[Tree[Token] | Token]) -> Expression:
        name = str(children[0])[1:].lower()
        if name not in self._parameters:
            raise InvalidArgumentError(f"the SQL expression uses @{name}, which has no value among the parameters")
        value = self._parameters[name]
        return lambda _: value

    def _property_of(self, children: list[Tree[Token] | Token]) -> Expression:
        (operand,) = self._operands(children)

        def evaluate(view: MessageView) -> Value:
            name = operand(view)
            return view.user.get(name.lower()) if isinstance(name, str) else None

        return evaluate

    def _newid(self, children: list[Tree[Token] | Token]) -> Expression:
        return lambda _: str(uuid4())

    def _property(self, children: list[Tree[Token] | Token]) -> Expression:
        system, name = _name(Tree("property", children))
        if system:
            return lambda view: view.system.get(name)
        key = name.lower()
        return lambda view: view.user.get(key)


def _name(node: Tree[Token]) -> tuple[bool, str]:
    """Whether it is a system property, and its name. Raises InvalidArgumentError for an unknown system property."""
    *scope, last = [child for child in node.children if isinstance(child, Token)]
    name = str(last)
    if last.type == "QUOTED":
        name = name[1:-1].replace('""', '"')
    elif last.type == "DELIMITED":
        name = name[1:-1].replace("]]", "]")
    if not scope or scope[0].lower().startswith("user"):
        return False, name
    if name.lower() not in SYSTEM:
        raise InvalidArgumentError(f"sys.{name} is no property of a message; there are {', '.join(sorted(SYSTEM))}")
    return True, name.lower()


def _truth(value: Value) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise FilterError(f"{value!r} is neither true nor false")


def _negated(value: bool | None) -> bool | None:
    return None if value is None else not value
