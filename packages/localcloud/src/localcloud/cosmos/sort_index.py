"""Which index an ORDER BY needs.

The service sorts by its index alone: a path that the indexing policy excludes can't be sorted by, unless a composite
index holds all the paths of the ORDER BY ("Indexing policies in Azure Cosmos DB", order-by queries).
"""

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.indexing import IndexingPolicy
from localcloud.cosmos.query import syntax
from localcloud.cosmos.query.syntax import Expression

Path = tuple[str, ...]


def check_sort_index(query: syntax.Query, indexing: IndexingPolicy) -> None:
    """Raise BadRequestError when the policy excludes a path that the query sorts by."""
    paths = [_path_of(item.expression, query.sources) for item in query.order_by]
    orders = [(path, item.descending) for path, item in zip(paths, query.order_by, strict=True) if path is not None]
    if len(orders) == len(paths) and indexing.has_composite(orders):
        return
    for path, _ in orders:
        if not indexing.includes(path):
            raise BadRequestError(
                "The index path corresponding to the specified order-by item is excluded: "
                f"'/{'/'.join(path)}/?' is not in the container's indexing policy. Include it there."
            )


def _path_of(node: Expression, sources: tuple[syntax.FromSource, ...]) -> Path | None:
    """The path in the document that an expression is; None when it is no path."""
    alias, below = _alias_and_path(node)
    number = next((number for number, source in enumerate(sources) if source.alias == alias), None)
    if number is None or below is None:
        return None
    source = sources[number]
    # The first source begins with a name of its own choice for the document: `FROM c`, `FROM x IN c.tags`.
    start = _path_of(source.of, sources[:number]) if number else _alias_and_path(source.of)[1]
    if start is None:
        return None
    return (*start, *(("[]",) if source.iterated else ()), *below)


def _alias_and_path(node: Expression) -> tuple[str | None, Path | None]:
    """The name that an expression begins with and the path below it; None for what is no path."""
    tokens: list[str] = []
    while isinstance(node, syntax.Member):
        key = node.key.value if isinstance(node.key, syntax.Constant) else None
        if isinstance(key, bool) or not isinstance(key, str | int):
            return None, None
        tokens.append(key if isinstance(key, str) else "[]")
        node = node.of
    return (node.name, tuple(reversed(tokens))) if isinstance(node, syntax.Name) else (None, None)
