"""Continuation tokens: where the next page of a query or a feed starts.

A token of localcloud is base64 of JSON. A token of the service is taken too: `+RID:~<resource id>#RT:1#TRC:5#ISV:2…`,
alone or as its gateway wraps it, `{"token": "+RID:~…", "range": {"min": "", "max": "FF"}}`.
"""

import base64
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from localcloud.cosmos import json_documents
from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.partition import MIN_EPK
from localcloud.unreadable import UNREADABLE

Place = tuple[str, str, str]  # epk, pk, id: the order of a feed
RowPlace = tuple[str, str, str, int]  # and which of the rows that a JOIN makes of an item

_SERVICE_TOKEN = re.compile(r"[+-]RID:~?(?P<rid>[^#]+)(?P<fields>(?:#[A-Z]+:[^#]*)*)")
_RESULTS_GIVEN = re.compile(r"#TRC:([0-9]{1,9})(?:#|$)")


class Continuation(msgspec.Struct, omit_defaults=True):
    """`of` names the query or feed, `extent` the part of the container (low, high, partition key) that gave the token.

    `row` is the place of the last row, `sort` its ORDER BY values, each in a list that is empty for undefined, and
    `number` the number of its item, which orders rows of equal values; `given` counts the results so far.
    """

    of: str
    extent: tuple[str, str, str | None]
    row: RowPlace | None = None
    sort: list[list[Any]] | None = None
    number: int = 0
    given: int = 0


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """A token in the service's form: the resource id of the last item ("" for none), how many results were given, and
    the effective partition key to go on at."""

    rid: str
    given: int = 0
    low: str = MIN_EPK


def encode(token: Continuation) -> str:
    return base64.b64encode(json_documents.encode(token)).decode()


def decode(text: str | None, of: str, extent: tuple[str, str, str | None]) -> Continuation | ServiceToken:
    """Raises BadRequestError for a token of another query or of another part of the container, and for no token."""
    if not text:
        return Continuation(of, extent)
    found = _parse_service_token(text)
    if found is not None:
        return found
    try:
        token = msgspec.json.decode(base64.b64decode(text, validate=True), type=Continuation)
    except (ValueError, *UNREADABLE):
        raise BadRequestError(
            f"Invalid Continuation Token: {text[:40]!r} is no token. Send back what x-ms-continuation gave."
        ) from None
    if token.of != of or token.given < 0:
        raise BadRequestError("Invalid Continuation Token: it was not given for this query.")
    if not _is_same_part(token.extent, extent):
        raise BadRequestError(
            "Invalid Continuation Token: it was given by another partition key range or partition key. A token goes "
            "on only where it was given."
        )
    return token


def _is_same_part(given_by: tuple[str, str, str | None], asked: tuple[str, str, str | None]) -> bool:
    """Whether both are the same part of the container. A partition key is asked for by its value, or as the span of its
    effective partition key: clients name it either way, and go on the other way."""
    if given_by == asked:
        return True
    (low, high, pk), (asked_low, asked_high, asked_pk) = given_by, asked
    is_one_key = low == asked_low and _ends_with_key(low, high) and _ends_with_key(low, asked_high)
    return is_one_key and (pk is None or asked_pk is None)


def _ends_with_key(low: str, high: str) -> bool:
    """Whether the span from `low` to `high` is that of one key: of all that begin with it, or up to the next number."""
    if not low or high.startswith(low):
        return bool(low)
    try:
        return len(high) == len(low) and int(high, 16) == int(low, 16) + 1
    except ValueError:
        return False


def _parse_service_token(text: str) -> ServiceToken | None:
    if text.startswith("{"):
        return _parse_wrapped(text)
    match = _SERVICE_TOKEN.fullmatch(text)
    if match is None:
        return None
    given = _RESULTS_GIVEN.search(match["fields"])
    return ServiceToken(match["rid"], int(given[1]) if given else 0)


def _parse_wrapped(text: str) -> ServiceToken | None:
    try:
        wrapper: object = msgspec.json.decode(text)
    except UNREADABLE:
        return None
    if not isinstance(wrapper, dict) or not isinstance(span := wrapper.get("range"), dict):
        return None
    token, low = wrapper.get("token"), span.get("min", MIN_EPK)
    if not isinstance(low, str):
        return None
    if token is None or token == "":
        return ServiceToken("", low=low.upper())
    inner = _parse_service_token(token) if isinstance(token, str) and not token.startswith("{") else None
    return ServiceToken(inner.rid, inner.given, low.upper()) if inner else None


def can_client_resume(text: str, *, sort_keys: int, distinct: bool) -> bool:
    """Whether a client that combines a query's ranges can go on by a token of its own, which it sends along.

    @azure/cosmos makes such tokens: `{"rid": …, "rangeMappings": […], "orderByItems": [{"item": 1}], "limit": 3}`. It
    asks the other ranges for values beyond the last one. That loses rows when there are several values or one of null,
    repeats rows when it has to drop duplicates, and never ends when no more are to be taken (`"limit": 0`).
    """
    try:
        token: object = msgspec.json.decode(text)
    except UNREADABLE:
        return False
    if not isinstance(token, dict) or not isinstance(token.get("rangeMappings"), list):
        return False
    if token.get("limit") == 0:
        return False
    if sort_keys == 0:
        return True
    items = token.get("orderByItems")
    if distinct or sort_keys > 1 or not isinstance(items, list) or len(items) != 1 or not isinstance(items[0], dict):
        return False
    return isinstance(items[0].get("item"), str | int | float)
