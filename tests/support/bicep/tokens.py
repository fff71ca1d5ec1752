"""The tokens of a Bicep file, as far as `infra/azure` uses the language."""

import re
from collections.abc import Iterator

from msgspec import Struct

_SKIPPED = re.compile(r"[ \t\r]+|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<newline>\n)|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>=>|==|!=|>=|<=|&&|\|\||\?\?|\.\?|[{}\[\]().,:=?@!+*/%<>-])"
)


class BicepSyntaxError(Exception):
    """A text that is not Bicep, or uses more of it than is known here."""


class Token(Struct, frozen=True):
    """`kind`: `text`, `number`, `name`, `sign`, `newline` or `end`. The value of a text is its parts: strings, and the
    sources of the expressions between them, each as a tuple of one."""

    kind: str
    value: str | tuple[str | tuple[str], ...]
    line: int


def tokens(source: str) -> Iterator[Token]:
    """The tokens of `source`, the last one of kind `end`. Raises BicepSyntaxError."""
    at = 0
    while at < len(source):
        if skipped := _SKIPPED.match(source, at):
            at = skipped.end()
            continue
        line = source.count("\n", 0, at) + 1
        if source.startswith("'''", at):
            end = source.find("'''", at + 3)
            if end < 0:
                raise BicepSyntaxError(f"line {line}: a text without an end")
            yield Token("text", (source[at + 3 : end].removeprefix("\n"),), line)
            at = end + 3
        elif source[at] == "'":
            parts, at = _text(source, at + 1, line)
            yield Token("text", parts, line)
        elif found := _TOKEN.match(source, at):
            assert found.lastgroup is not None
            yield Token(found.lastgroup, found[0], line)
            at = found.end()
        else:
            raise BicepSyntaxError(f"line {line}: {source[at : at + 20]!r}")
    yield Token("end", "", source.count("\n") + 1)


def _text(source: str, at: int, line: int) -> tuple[tuple[str | tuple[str], ...], int]:
    """The parts of the text that begins at `at`, and where what follows it begins."""
    parts: list[str | tuple[str]] = []
    plain = ""
    while at < len(source) and source[at] not in "'\n":
        if source[at] == "\\":
            plain += {"n": "\n", "t": "\t"}.get(source[at + 1], source[at + 1])
            at += 2
        elif source.startswith("${", at):
            end = _closing(source, at + 2, line)
            parts += [plain, (source[at + 2 : end],)] if plain else [(source[at + 2 : end],)]
            plain, at = "", end + 1
        else:
            plain += source[at]
            at += 1
    if at >= len(source) or source[at] == "\n":
        raise BicepSyntaxError(f"line {line}: a text without an end")
    return (*parts, plain) if plain or not parts else tuple(parts), at + 1


def _closing(source: str, at: int, line: int) -> int:
    """Where the brace is that ends the expression in a text, which may hold texts itself."""
    depth, quoted = 0, False
    while at < len(source) and source[at] != "\n":
        sign = source[at]
        if sign == "'":
            quoted = not quoted
        elif not quoted and sign == "{":
            depth += 1
        elif not quoted and sign == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    raise BicepSyntaxError(f"line {line}: an expression in a text without an end")
