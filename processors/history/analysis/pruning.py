"""Which seconds a statement asks for: bounds on `enqueued_at` in its WHERE. Pure but for what reads moments.

Only what can't be misunderstood counts: one table, and comparisons with a literal that all rows must pass. Whatever
else is there, nothing is left out.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from songline.processors.history.analysis.event_tables import SCHEMAS
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

COLUMN = "enqueued_at"
_FLIPPED = {"GREATERTHAN": "LESSTHAN", "LESSTHAN": "GREATERTHAN"}
_MOMENT_TYPES = ("timestamptz", "timestamp with time zone")
_anything: Decoder[Any] = Decoder(Any)


class SecondBounds(Struct, frozen=True):
    """Unix seconds: events of `since_s` or later, and before `until_s`; None for no bound."""

    since_s: int | None = None
    until_s: int | None = None

    def within(self, other: "SecondBounds") -> "SecondBounds":
        """Both bounds together."""
        sinces = [one for one in (self.since_s, other.since_s) if one is not None]
        untils = [one for one in (self.until_s, other.until_s) if one is not None]
        return SecondBounds(max(sinces, default=None), min(untils, default=None))


def bounds_of(parsed: str, moment: Callable[[str], int | None]) -> SecondBounds:
    """The bounds in a statement as DuckDB's JSON; `moment` reads a literal as a Unix second, rounded down."""
    try:
        statements = _anything.decode(parsed).get("statements") or [{}]
        node = statements[0].get("node") or {}
        table = node.get("from_table") or {}
        is_plain = node.get("type") == "SELECT_NODE" and table.get("type") == "BASE_TABLE"
        if len(statements) != 1 or not is_plain or table.get("table_name", "").lower() not in SCHEMAS:
            return SecondBounds()
        if table.get("sample") or table.get("column_name_alias") or (node.get("cte_map") or {}).get("map"):
            return SecondBounds()
        if parsed.count("BASE_TABLE") != 1 or '"SUBQUERY"' in parsed or _renames(node):
            # Something else in the statement reads the table too, or another column has the name.
            return SecondBounds()
        return _bounds(node.get("where_clause") or {}, moment)
    except (PoisonError, AttributeError, LookupError, TypeError):
        return SecondBounds()


def _renames(node: Any) -> bool:
    return any(one.get("alias", "").lower() == COLUMN for one in node["select_list"])


def _type_name(cast: Any) -> str:
    return str(cast["type_expr"]["type_name"]).lower()


def _bounds(expression: Any, moment: Callable[[str], int | None]) -> SecondBounds:
    kind = expression.get("type", "")
    if kind == "CONJUNCTION_AND":
        found = SecondBounds()
        for child in expression["children"]:
            found = found.within(_bounds(child, moment))
        return found
    if kind == "COMPARE_BETWEEN" and _is_column(expression["input"]):
        lower = _compared("GREATERTHAN", expression["lower"], moment)
        return lower.within(_compared("LESSTHAN", expression["upper"], moment))
    compared = kind.removeprefix("COMPARE_").removesuffix("OREQUALTO")
    if compared == "EQUAL":
        side = "right" if _is_column(expression["left"]) else "left"
        if not _is_column(expression["left" if side == "right" else "right"]):
            return SecondBounds()
        same = expression[side]
        return _compared("GREATERTHAN", same, moment).within(_compared("LESSTHAN", same, moment))
    if compared in _FLIPPED and _is_column(expression["left"]):
        return _compared(compared, expression["right"], moment)
    if compared in _FLIPPED and _is_column(expression["right"]):
        return _compared(_FLIPPED[compared], expression["left"], moment)
    return SecondBounds()


def _compared(kind: str, literal: Any, moment: Callable[[str], int | None]) -> SecondBounds:
    text = _literal(literal)
    second = None if text is None else moment(text)
    if second is None:
        return SecondBounds()
    # Events have whole seconds. An equal one is always read: the statement itself decides about it.
    return SecondBounds(since_s=second) if kind == "GREATERTHAN" else SecondBounds(until_s=second + 1)


def _is_column(expression: Any) -> bool:
    is_column: bool = expression.get("class") == "COLUMN_REF"
    return is_column and str(expression["column_names"][-1]).lower() == COLUMN


def _literal(expression: Any) -> str | None:
    if expression.get("class") == "CAST" and _type_name(expression) in _MOMENT_TYPES:
        expression = expression["child"]
    literal = expression.get("literal") if expression.get("class") == "CONSTANT" else None
    return str(literal["text"]) if literal and literal.get("kind") == "STRING" else None
