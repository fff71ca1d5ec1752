"""The declarations of a Bicep file."""

from pathlib import Path

from msgspec import Struct, field

from tests.support.bicep.expressions import ExpressionReader, Tree
from tests.support.bicep.tokens import BicepSyntaxError


class Parameter(Struct, frozen=True):
    """A parameter: its type, its default, None where it has none, and its decorators."""

    type: str
    default: Tree | None
    decorators: tuple[Tree, ...]


class Declared(Struct, frozen=True):
    """A resource (`what` is its type with the API version) or a module (`what` is its path)."""

    what: str
    existing: bool
    body: Tree


class Template(Struct):
    """A file: everything it declares, by name."""

    scope: str = "resourceGroup"
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variables: dict[str, Tree] = field(default_factory=dict)
    resources: dict[str, Declared] = field(default_factory=dict)
    modules: dict[str, Declared] = field(default_factory=dict)
    outputs: dict[str, Tree] = field(default_factory=dict)


def read_template(path: Path) -> Template:
    """The declarations of the file. Raises BicepSyntaxError, which names file and line."""
    try:
        return _read(ExpressionReader(path.read_text(encoding="utf-8")))
    except BicepSyntaxError as error:
        raise BicepSyntaxError(f"{path.name}: {error}") from None


def _read(reader: ExpressionReader) -> Template:
    template = Template()
    decorators: list[Tree] = []
    known: set[str] = set()
    while True:
        reader.skip_lines()
        if reader.peek().kind == "end":
            return template
        if reader.is_sign("@"):
            reader.next()
            decorators.append(reader.expression())
            continue
        line, kind = reader.peek().line, reader.name()
        if kind == "targetScope":
            reader.sign("=")
            template.scope = reader.text()
            continue
        name = reader.name()
        if kind != "output" and name in known:
            raise BicepSyntaxError(f"line {line}: {name} is declared twice")
        known.add(name)
        if kind == "param":
            type_, default = reader.name(), None
            if reader.is_sign("="):
                reader.next()
                default = reader.expression()
            template.parameters[name] = Parameter(type_, default, tuple(decorators))
        elif kind == "var":
            reader.sign("=")
            template.variables[name] = reader.expression()
        elif kind in ("resource", "module"):
            what = reader.text()
            existing = reader.is_name("existing")
            if existing:
                reader.next()
            reader.sign("=")
            found = Declared(what, existing, reader.body())
            (template.resources if kind == "resource" else template.modules)[name] = found
        elif kind == "output":
            reader.name()
            reader.sign("=")
            template.outputs[name] = reader.expression()
        else:
            raise BicepSyntaxError(f"line {line}: {kind} is not known here")
        decorators = []
