"""Which operation a request asks for: decided as the router decides it, before it does."""

import re
from collections.abc import Iterable, Mapping

from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from msgspec import Struct
from starlette.routing import BaseRoute, Mount, compile_path

from songline.api.operations import Operation, OperationTable


class UnknownOperationError(Exception):
    """The application has a route that the table of operations lacks: nobody has said who may use it."""


class MatchedOperation(Struct, frozen=True):
    """The operation that a request asks for, its method and path template, and the parameters in its path."""

    operation: Operation
    name: str
    parameters: Mapping[str, str]


class _Candidate(Struct, frozen=True):
    pattern: re.Pattern[str]
    methods: frozenset[str] | None
    operation: Operation
    name: str


class OperationMatcher:
    """Matches requests with the operations of `routes`, in the router's order. Raises UnknownOperationError."""

    def __init__(self, routes: Iterable[BaseRoute], table: OperationTable) -> None:
        self._candidates = [
            _Candidate(compile_path(template)[0], methods, table[key], " ".join(key))
            for template, methods, key in _checked(routes, table)
        ]
        # Most requests have a path without parameters; the search through the patterns is done once for each of these.
        self._fixed: dict[tuple[str, str], MatchedOperation] = {}
        for method, template in table:
            if "{" not in template and (found := self._search(method, template)) is not None:
                self._fixed[method, template] = found

    def match(self, method: str, path: str) -> MatchedOperation | None:
        """The operation of a request; None where the router answers that there is none (404, 405) or redirects."""
        return self._fixed.get((method, path)) or self._search(method, path)

    def _search(self, method: str, path: str) -> MatchedOperation | None:
        for candidate in self._candidates:
            if candidate.methods is not None and method not in candidate.methods:
                continue
            if (found := candidate.pattern.match(path)) is not None:
                return MatchedOperation(candidate.operation, candidate.name, found.groupdict())
        return None


def keys_of(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    """The keys that a table needs for `routes`. Raises UnknownOperationError for a route of a kind that has none."""
    return {key for _, _, keys in _described(routes) for key in keys}


def _checked(
    routes: Iterable[BaseRoute], table: OperationTable
) -> Iterable[tuple[str, frozenset[str] | None, tuple[str, str]]]:
    for template, methods, keys in _described(routes):
        for key in keys:
            if key not in table:
                raise UnknownOperationError(
                    f"{' '.join(key)}: saw no such operation, expected one in songline/api/operations.py that says who "
                    "may use this route"
                )
            of_key = None if methods is None else methods & ({"GET", "HEAD"} if key[0] == "GET" else {key[0]})
            yield template, of_key, key


def _described(routes: Iterable[BaseRoute]) -> Iterable[tuple[str, frozenset[str] | None, list[tuple[str, str]]]]:
    """Template, methods (None: any) and keys of each route."""
    route: RouteContext
    for route in iter_route_contexts(list(routes)):
        path = route.path or ""
        if isinstance(route.original_route, Mount):
            template = f"{path}/{{path:path}}"
            yield template, None, [("GET", template)]
        elif isinstance(route.original_route, APIRoute) and route.methods:
            methods = frozenset(route.methods)
            yield path, methods, sorted({("GET" if method == "HEAD" else method, path) for method in methods})
        else:
            raise UnknownOperationError(
                f"{path}: saw a {type(route.original_route).__name__}, expected a route or files"
            )
