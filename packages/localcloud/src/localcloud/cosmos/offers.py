"""Offers: how many request units a second a container has, or the containers of a database share."""

import math
from collections.abc import Callable, Mapping

from localcloud.cosmos import json_documents, resource_ids
from localcloud.cosmos.errors import BadRequestError, NotFoundError
from localcloud.cosmos.storage import SqliteSession

MIN_THROUGHPUT, MAX_THROUGHPUT, MIN_AUTOSCALE = 400, 1_000_000, 1_000
DEFAULT: dict[str, object] = {"offerThroughput": 400}

# What one physical partition gives at most, and what each gets when a container begins with more than that.
PARTITION_MAX, PARTITION_INITIAL = 10_000, 6_000

Offer = dict[str, object]


def read(session: SqliteSession) -> list[Offer]:
    rows = session.connection.execute("SELECT number, resource, content, etag, ts FROM offers ORDER BY number")
    return [_describe(*row) for row in rows]


def read_throughput(session: SqliteSession) -> dict[str, float]:
    """Request units a second by the link of a database or a container."""
    rows = session.connection.execute("SELECT resource, content FROM offers")
    decoded = ((link, json_documents.decode(content)) for link, content in rows)
    return {link: max_throughput(content) for link, content in decoded if isinstance(content, dict)}


def max_throughput(content: Mapping[str, object]) -> float:
    """The request units a second that an offer allows; the maximum of autoscale."""
    autopilot = content.get("offerAutopilotSettings")
    given = autopilot.get("maxThroughput") if isinstance(autopilot, dict) else content.get("offerThroughput")
    return float(str(given))


def partition_count(throughput: float) -> int:
    """How many physical partitions a new container has, as the service decides it ("Best practices for scaling
    provisioned throughput (RU/s)")."""
    return 1 if throughput <= PARTITION_MAX else math.ceil(throughput / PARTITION_INITIAL)


def replace(rid: str, resource: Mapping[str, object], now: int) -> Callable[[SqliteSession], Offer]:
    content = resource.get("content")
    if not isinstance(content, dict):
        raise BadRequestError(f"The offer's content is {content!r}: expected a JSON object.")
    checked = parse(content)

    def job(session: SqliteSession) -> Offer:
        offer = next((o for o in read(session) if o["id"] == rid), None)
        if offer is None:
            raise NotFoundError(f"Resource Not Found: there is no offer '{rid}'.")
        etag = json_documents.etag_of(session.next_lsn(), now)
        session.connection.execute(
            "UPDATE offers SET content = ?, etag = ?, ts = ? WHERE resource = ?",
            (json_documents.encode(checked), etag, now, offer["resource"]),
        )
        return {**offer, "content": _content(checked), "_etag": etag, "_ts": now}

    return job


def parse(content: Mapping[str, object]) -> Offer:
    """Check `{"offerThroughput": 400}` or `{"offerAutopilotSettings": {"maxThroughput": 4000}}`."""
    autopilot = content.get("offerAutopilotSettings")
    if isinstance(autopilot, dict):
        highest = autopilot.get("maxThroughput")
        if not isinstance(highest, int) or highest < MIN_AUTOSCALE:
            raise BadRequestError(
                f"Requested throughput {highest} is less than required minimum throughput {MIN_AUTOSCALE}."
            )
        if highest % 1000:
            raise BadRequestError(f"The autoscale maximum of {highest} RU/s is not a multiple of 1000.")
        return {"offerThroughput": highest // 10, "offerAutopilotSettings": autopilot}
    manual = content.get("offerThroughput")
    if not isinstance(manual, int) or not MIN_THROUGHPUT <= manual <= MAX_THROUGHPUT or manual % 100:
        raise BadRequestError(
            f"The offer should have valid throughput values between {MIN_THROUGHPUT} and {MAX_THROUGHPUT} inclusive "
            f"in increments of 100, not {manual!r}."
        )
    return {"offerThroughput": manual}


def insert(session: SqliteSession, link: str, content: Offer, now: int) -> None:
    session.connection.execute(
        "INSERT INTO offers (resource, content, etag, ts) VALUES (?, ?, ?, ?)",
        (link, json_documents.encode(content), json_documents.etag_of(session.next_lsn(), now), now),
    )


def _describe(number: int, link: str, content: bytes, etag: str, ts: int) -> Offer:
    rid = resource_ids.offer_rid(number)
    decoded = json_documents.decode(content)
    return {
        "id": rid,
        "_rid": rid,
        "_self": f"offers/{rid}/",
        "_etag": etag,
        "_ts": ts,
        "offerVersion": "V2",
        "offerType": "Invalid",
        "resource": link,
        "offerOfferId": link.strip("/").rpartition("/")[2],
        "content": _content(decoded if isinstance(decoded, dict) else {}),
    }


def _content(content: Offer) -> Offer:
    return {"offerIsRUPerMinuteThroughputEnabled": False, **content}
