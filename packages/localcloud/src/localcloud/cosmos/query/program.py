"""A query compiled: rows from documents, what is selected from rows, and in which order."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from localcloud.cosmos.errors import BadRequestError, query_error
from localcloud.cosmos.query import aggregates, syntax
from localcloud.cosmos.query.expressions import ROOT, Context, Evaluate, Row, build_object, compile_expression
from localcloud.cosmos.query.syntax import Expression
from localcloud.cosmos.values import UNDEFINED, OrderKey, fingerprint

MAX_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Program:
    """`rows` binds the FROM clause to a document and keeps what WHERE lets through.

    `grouped` says that rows are folded into groups before they are selected. `offset` and `limit` hold TOP as well.
    """

    rows: Callable[[Row], Iterator[Row]]
    select: Evaluate
    sort: tuple[tuple[Evaluate, bool], ...]
    group_by: tuple[Evaluate, ...]
    aggregated: tuple[tuple[str, Evaluate], ...]
    grouped: bool
    distinct: bool
    offset: int
    limit: int
    from_nothing: bool

    @property
    def streams(self) -> bool:
        """Whether rows can be selected one by one: without groups and DISTINCT."""
        return not (self.grouped or self.distinct)

    def groups(self, rows: Iterable[Row]) -> Iterator[Row]:
        """One row a group, with the aggregates' results; the aliases are those of the group's first row."""
        found: dict[object, tuple[Row, list[aggregates.Aggregate]]] = {}
        if not self.group_by:
            found[()] = ({}, [aggregates.create(name) for name, _ in self.aggregated])
        for row in rows:
            key = tuple(fingerprint(evaluate(row)) for evaluate in self.group_by)
            group = found.get(key)
            if group is None:
                group = found[key] = (row, [aggregates.create(name) for name, _ in self.aggregated])
            for aggregate, (_, argument) in zip(group[1], self.aggregated, strict=True):
                aggregate.add(argument(row))
        for row, totals in found.values():
            yield row | {f"${number}": total.result() for number, total in enumerate(totals)}

    def ordered(self, rows: Iterable[Row]) -> list[Row]:
        """Sorted; rows that are equal keep their order."""
        result = list(rows)
        for evaluate, descending in reversed(self.sort):
            result.sort(key=partial(_sort_key, evaluate), reverse=descending)
        return result

    def results(self, rows: Iterable[Row]) -> list[object]:
        """All results of the query, before OFFSET and LIMIT."""
        selected = [
            value
            for row in self.ordered(self.groups(rows) if self.grouped else rows)
            if (value := self.select(row)) is not UNDEFINED
        ]
        if not self.distinct:
            return selected
        first: dict[object, object] = {}
        for value in selected:
            first.setdefault(fingerprint(value), value)
        return list(first.values())


def _sort_key(evaluate: Evaluate, row: Row) -> OrderKey:
    return OrderKey(evaluate(row))


def compile_query(
    query: syntax.Query, parameters: Mapping[str, object], now_ms: int, given: frozenset[str] = frozenset()
) -> Program:
    """Each row that the program gets has the parameters that are `given` later.

    Raises BadRequestError for a query that is well formed but not valid.
    """
    return _compile(query, Context(parameters, now_ms, given, query=_run))


def _run(context: Context, query: syntax.Query) -> Callable[[Row], list[object]]:
    if query.order_by:
        raise query_error("SC2202", "'ORDER BY' is not supported in subqueries.")
    if query.limit is not None:
        raise query_error("SC2204", "'OFFSET LIMIT' clause is not supported in subqueries.")
    program = _compile(query, context.without_aggregates())

    def run(row: Row) -> list[object]:
        rows = iter((row,)) if program.from_nothing else program.rows(row)
        return program.results(rows)[program.offset : program.offset + program.limit]

    return run


def _compile(query: syntax.Query, outer: Context) -> Program:
    inner = Context(outer.parameters, outer.now_ms, outer.names, None, outer.query)
    sources = []
    for number, source in enumerate(query.sources):
        sources.append((source.alias, _source(source, inner, first=number == 0)))
        inner = Context(inner.parameters, inner.now_ms, inner.names | {source.alias}, None, inner.query)
    if query.group_by and query.order_by:
        raise BadRequestError("GROUP BY and ORDER BY can't be used in one query: sort the groups where they are read.")
    where = compile_expression(query.where, inner) if query.where is not None else None
    group_by = tuple(compile_expression(expression, inner) for expression in query.group_by)
    found: list[tuple[str, Evaluate]] = []
    selecting = Context(inner.parameters, inner.now_ms, inner.names, found, inner.query)
    select = _select(query, selecting)
    sort = tuple((compile_expression(item.expression, selecting), item.descending) for item in query.order_by)
    grouped = bool(found or group_by)
    offset, limit = _limits(query, outer.parameters)
    if grouped:
        select = _tolerant(select)
    return Program(
        rows=_rows(sources, where),
        select=select,
        sort=sort,
        group_by=group_by,
        aggregated=tuple(found),
        grouped=grouped,
        distinct=query.distinct,
        offset=offset,
        limit=limit,
        from_nothing=not query.sources,
    )


def _tolerant(select: Evaluate) -> Evaluate:
    """An empty group has no first row, so aliases beside the aggregates are undefined."""

    def evaluate(row: Row) -> object:
        try:
            return select(row)
        except KeyError:
            return UNDEFINED

    return evaluate


def _limits(query: syntax.Query, parameters: Mapping[str, object]) -> tuple[int, int]:
    offset = count_of(query.offset, parameters, "OFFSET") if query.offset is not None else 0
    limit = count_of(query.limit, parameters, "LIMIT") if query.limit is not None else MAX_LIMIT
    if query.top is not None:
        if query.limit is not None:
            raise BadRequestError("A query cannot have both TOP and OFFSET LIMIT.")
        limit = count_of(query.top, parameters, "TOP")
    return offset, limit


def count_of(node: Expression, parameters: Mapping[str, object], clause: str) -> int:
    """The number after TOP, OFFSET or LIMIT."""
    value = parameters.get(node.name, UNDEFINED) if isinstance(node, syntax.Parameter) else None
    if isinstance(node, syntax.Constant):
        value = node.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LIMIT:
        raise BadRequestError(f"{clause} has {value!r}: expected an integer from 0 to {MAX_LIMIT}.")
    return value


def _select(query: syntax.Query, context: Context) -> Evaluate:
    if query.items is None:
        if len(query.sources) != 1:
            raise BadRequestError("'SELECT *' is only valid with a single input set.")
        return compile_expression(syntax.Name(query.sources[0].alias), context)
    if query.value:
        return compile_expression(query.items[0].expression, context)
    fields: list[tuple[str, Evaluate]] = []
    for name, item in zip(names_of(query.items), query.items, strict=True):
        if any(name == known for known, _ in fields):
            raise BadRequestError(
                f"The SELECT list has two properties of the name '{name}': give one an alias with AS."
            )
        fields.append((name, compile_expression(item.expression, context)))
    return lambda row: build_object(fields, row)


def names_of(items: tuple[syntax.SelectItem, ...]) -> list[str]:
    """The property of each: its alias, else the last name of its path, else $1, $2 and so on."""
    names, anonymous = [], 0
    for item in items:
        node = item.expression
        if item.alias:
            names.append(item.alias)
        elif isinstance(node, syntax.Name):
            names.append(node.name)
        elif (
            isinstance(node, syntax.Member)
            and isinstance(node.key, syntax.Constant)
            and isinstance(node.key.value, str)
        ):
            names.append(node.key.value)
        else:
            anonymous += 1
            names.append(f"${anonymous}")
    return names


def _source(source: syntax.FromSource, context: Context, *, first: bool) -> Callable[[Row], Iterable[object]]:
    if isinstance(source.of, syntax.Subquery):
        assert context.query is not None
        run = context.query(context, source.of.query)
        if source.iterated:
            return lambda row: [item for value in run(row) if isinstance(value, list) for item in value]
        return run
    evaluate = _collection(source.of, context, first=first)
    if source.iterated:

        def each(row: Row) -> Iterable[object]:
            value = evaluate(row)
            return value if isinstance(value, list) else ()

        return each

    def only(row: Row) -> Iterable[object]:
        value = evaluate(row)
        return () if value is UNDEFINED else (value,)

    return only


def _collection(node: Expression, context: Context, *, first: bool) -> Evaluate:
    """A path. The name that the first source starts with means the document, unless an outer query knows it."""
    base = node
    while isinstance(base, syntax.Member):
        base = base.of
    if first and isinstance(base, syntax.Name) and base.name not in context.names:
        names = Context(context.parameters, context.now_ms, context.names | {base.name}, None, context.query)
        evaluate, name = compile_expression(node, names), base.name
        return lambda row: evaluate({**row, name: row[ROOT]})
    return compile_expression(node, context)


def _rows(
    sources: list[tuple[str, Callable[[Row], Iterable[object]]]], where: Evaluate | None
) -> Callable[[Row], Iterator[Row]]:
    def bind(row: Row, number: int) -> Iterator[Row]:
        if number == len(sources):
            if where is None or where(row) is True:
                yield row
            return
        alias, values = sources[number]
        for value in values(row):
            yield from bind({**row, alias: value}, number + 1)

    return lambda row: bind(row, 0)
