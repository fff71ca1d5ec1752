"""Refuses unknown query parameters: a misspelt one would be ignored without notice."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from songline.projections.http.problems import Fault
from songline.projections.http.responses import shown
from songline.schemas.nearest import nearest

MOST = 100
OWN_QUERY = "x-own-query"


class ParametersError(Exception):
    """The query has an unknown parameter, a repeated parameter, or text that is not UTF-8."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{fault.field}: saw {fault.value}, expected {fault.rule}" for fault in faults))
        self.faults = faults


async def known(request: Request) -> None:
    """Check the query of a request. A dependency of every route; raises ParametersError.

    A route with OWN_QUERY in its `openapi_extra` follows another protocol, and reads its query itself.
    """
    route: APIRoute = request.scope["route"]
    if (query := request.scope["query_string"]) and not (route.openapi_extra or {}).get(OWN_QUERY):
        check(query, parameters(route))


def parameters(route: APIRoute) -> list[str]:
    """The names of the query parameters of `route`, including those that only its OpenAPI document has."""
    own = _query_names(route.dependant)
    added: list[dict[str, Any]] = (route.openapi_extra or {}).get("parameters", [])
    return sorted({*own, *(one["name"] for one in added if one["in"] == "query")})


def _query_names(dependant: Dependant) -> list[str]:
    """Those of a route or a dependency, and of what it depends on."""
    own = [field.alias for field in dependant.query_params]
    return own + [name for other in dependant.dependencies for name in _query_names(other)]


def check(query: bytes, names: Iterable[str]) -> None:
    """Raise ParametersError unless `query` is UTF-8 and has only `names`, each once."""
    try:
        # UTF-8, strictly. Blank values are kept.
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST)
    except UnicodeDecodeError:
        raise ParametersError(Fault("query", shown(query.decode("latin-1")), "UTF-8, percent-encoded")) from None
    except ValueError:
        raise ParametersError(Fault("query", shown(query.decode("latin-1")), f"{MOST} parameters at most")) from None
    allowed, seen, faults = list(names), set[str](), list[Fault]()
    for name, value in pairs:
        if name not in allowed:
            rule = nearest(name, allowed) if allowed else "no parameters here"
            faults.append(Fault(name[:100], shown(value), rule))
        elif name in seen:
            faults.append(Fault(name, shown(value), "one value, and not another one"))
        seen.add(name)
    if faults:
        raise ParametersError(*faults)
