"""Computed properties of a container: queries see them, documents don't have them ("Computed properties in Azure Cosmos
DB for NoSQL")."""

from collections.abc import Callable, Mapping

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.json_documents import Document
from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.expressions import ROOT
from localcloud.cosmos.query.parser import parse
from localcloud.cosmos.query.plan import is_aggregated
from localcloud.cosmos.query.program import compile_query
from localcloud.cosmos.values import UNDEFINED

Computed = Mapping[str, Callable[[Document], object]]


class ComputedDocument(Document):
    """A document that computes a missing property when it is read. Its JSON is that of the stored document."""

    def __init__(self, stored: Document, computed: Computed) -> None:
        super().__init__(stored)
        self._stored = stored
        self._computed = computed

    def get(self, key: str, default: object = None) -> object:
        if key in self or key not in self._computed:
            return super().get(key, default)
        return self._computed[key](self._stored)


def parse_computed(given: object) -> Computed:
    """Read `[{"name": "lower", "query": "SELECT VALUE LOWER(c.name) FROM c"}]`. Raises BadRequestError."""
    if not isinstance(given, list):
        raise _invalid(f"computedProperties is {given!r}: expected a list")
    computed = {}
    for entry in given:
        name, query = (entry.get("name"), entry.get("query")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not name or not isinstance(query, str):
            raise _invalid(f"the computed property {entry!r} has no 'name' and 'query'")
        computed[name] = _compile(query)
    return computed


def _compile(text: str) -> Callable[[Document], object]:
    tree = parse(text)
    cut = tree.distinct or tree.top is not None or tree.limit is not None
    if not tree.value or len(tree.sources) != 1 or tree.where or tree.order_by or tree.group_by or cut:
        raise _invalid(f"the query {text!r} of a computed property has more than SELECT VALUE and FROM")
    if is_aggregated(tree) or _has_subquery(tree.items):
        raise _invalid(f"the query {text!r} of a computed property has an aggregate or a subquery")
    program = compile_query(tree, {}, 0)

    def compute(document: Document) -> object:
        row = next(iter(program.rows({ROOT: document})), None)
        return UNDEFINED if row is None else program.select(row)

    return compute


def _has_subquery(node: object) -> bool:
    """Whether one is anywhere in an expression."""
    if isinstance(node, syntax.Subquery):
        return True
    parts = node if isinstance(node, tuple) else [getattr(node, name) for name in getattr(node, "__slots__", ())]
    return any(map(_has_subquery, parts))


def _invalid(reason: str) -> BadRequestError:
    return BadRequestError(f"One of the specified inputs is invalid: {reason}.")
