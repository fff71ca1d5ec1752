"""Bicep's expressions as trees: tuples that begin with what they are."""

from typing import Any

from tests.support.bicep.tokens import BicepSyntaxError, Token, tokens

Tree = tuple[Any, ...]

_LEVELS = (("??",), ("||",), ("&&",), ("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))
"""Operators, weakest first. Above them all is `condition ? one : other`."""


class ExpressionReader:
    """Reads expressions from the tokens of a file, one after another."""

    def __init__(self, source: str) -> None:
        self._tokens = list(tokens(source))
        self._at = 0

    def peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def is_sign(self, *signs: str) -> bool:
        return self.peek().kind == "sign" and self.peek().value in signs

    def is_name(self, *names: str) -> bool:
        return self.peek().kind == "name" and self.peek().value in names

    def next(self) -> Token:
        token = self.peek()
        self._at += 1
        return token

    def skip_lines(self) -> None:
        while self.peek().kind == "newline":
            self._at += 1

    def sign(self, sign: str) -> None:
        """Read this sign. Raises BicepSyntaxError where another token stands."""
        if not self.is_sign(sign):
            raise BicepSyntaxError(f"line {self.peek().line}: expected {sign}, saw {self.peek().value!r}")
        self._at += 1

    def name(self) -> str:
        token = self.next()
        if token.kind != "name":
            raise BicepSyntaxError(f"line {token.line}: expected a name, saw {token.value!r}")
        return str(token.value)

    def text(self) -> str:
        """A text without expressions in it."""
        token = self.next()
        if token.kind != "text" or len(token.value) != 1 or not isinstance(token.value[0], str):
            raise BicepSyntaxError(f"line {token.line}: expected a plain text, saw {token.value!r}")
        return token.value[0]

    def expression(self) -> Tree:
        """The next expression. Raises BicepSyntaxError."""
        condition = self._level(0)
        # The branches may stand on lines of their own.
        if not self._continues("?"):
            return condition
        self.sign("?")
        self.skip_lines()
        one = self.expression()
        self.skip_lines()
        self.sign(":")
        self.skip_lines()
        return ("if", condition, one, self.expression())

    def body(self) -> Tree:
        """What follows the `:` of a loop, or the `=` of a resource: an expression, which `if (…)` may precede."""
        if not self.is_name("if"):
            return self.expression()
        self.next()
        self.sign("(")
        condition = self.expression()
        self.sign(")")
        return ("only", condition, self.expression())

    def _continues(self, sign: str) -> bool:
        ahead = 0
        while self.peek(ahead).kind == "newline":
            ahead += 1
        token = self.peek(ahead)
        if token.kind == "sign" and token.value == sign:
            self._at += ahead
            return True
        return False

    def _level(self, level: int) -> Tree:
        if level == len(_LEVELS):
            return self._unary()
        left = self._level(level + 1)
        while self.is_sign(*_LEVELS[level]):
            operator = self.next().value
            self.skip_lines()
            left = ("operator", operator, left, self._level(level + 1))
        return left

    def _unary(self) -> Tree:
        if self.is_sign("!", "-"):
            return ("unary", self.next().value, self._unary())
        tree = self._primary()
        while True:
            if self.is_sign(".", ".?"):
                self.next()
                tree = ("member", tree, ("literal", self.name()))
            elif self.is_sign("["):
                self.next()
                tree = ("member", tree, self.expression())
                self.sign("]")
            elif self.is_sign("!"):
                # It only says that the value is not null.
                self.next()
            else:
                return tree

    def _primary(self) -> Tree:
        token = self.next()
        if token.kind == "text":
            return (
                "text",
                tuple(p if isinstance(p, str) else ExpressionReader(p[0]).expression() for p in token.value),
            )
        if token.kind == "number":
            return ("literal", int(str(token.value)))
        if token.kind == "sign" and token.value == "(":
            tree = self.expression()
            self.sign(")")
            return tree
        if token.kind == "sign" and token.value == "{":
            return self._object()
        if token.kind == "sign" and token.value == "[":
            return self._array()
        if token.kind != "name":
            raise BicepSyntaxError(f"line {token.line}: expected a value, saw {token.value!r}")
        name = str(token.value)
        if name in ("true", "false", "null"):
            return ("literal", {"true": True, "false": False, "null": None}[name])
        if self.is_sign("=>"):
            self.next()
            return ("lambda", name, self.expression())
        if self.is_sign("("):
            return ("call", name, self._arguments())
        return ("name", name, token.line)

    def _arguments(self) -> tuple[Tree, ...]:
        self.sign("(")
        self.skip_lines()
        found = []
        while not self.is_sign(")"):
            found.append(self.expression())
            self.skip_lines()
            if self.is_sign(","):
                self.next()
                self.skip_lines()
        self.sign(")")
        return tuple(found)

    def _object(self) -> Tree:
        found = []
        self.skip_lines()
        while not self.is_sign("}"):
            token = self.next()
            if token.kind not in ("name", "text"):
                raise BicepSyntaxError(f"line {token.line}: expected a key, saw {token.value!r}")
            parts = token.value if token.kind == "text" else (token.value,)
            self.sign(":")
            self.skip_lines()
            found.append((_text_of(parts), self.expression()))
            if self.is_sign(","):
                self.next()
            self.skip_lines()
        self.sign("}")
        return ("object", tuple(found))

    def _array(self) -> Tree:
        self.skip_lines()
        if self.is_name("for"):
            return self._loop()
        found = []
        while not self.is_sign("]"):
            found.append(self.expression())
            if self.is_sign(","):
                self.next()
            self.skip_lines()
        self.sign("]")
        return ("array", tuple(found))

    def _loop(self) -> Tree:
        self.next()
        index = None
        if self.is_sign("("):
            self.next()
            item = self.name()
            self.sign(",")
            index = self.name()
            self.sign(")")
        else:
            item = self.name()
        if self.name() != "in":
            raise BicepSyntaxError(f"line {self.peek().line}: expected `in`")
        over = self.expression()
        self.sign(":")
        body = self.body()
        self.skip_lines()
        self.sign("]")
        return ("for", item, index, over, body)


def _text_of(parts: Any) -> Tree:
    return ("text", tuple(part if isinstance(part, str) else ExpressionReader(part[0]).expression() for part in parts))
