"""A lane sends each batch until it is accepted, and believes no answer that does not name each event."""

import asyncio
import io
from collections.abc import Sequence
from io import BufferedWriter

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from songline.audit.event_lane import EventLane, SentEvent
from songline.audit.history import OperationHistory
from songline.audit.ledger import Ledger

EVENTS = [SentEvent(f"e-{number}", "user-1", b"{}") for number in range(3)]


def sent(answers: Sequence[tuple[int, object]], events: Sequence[SentEvent] = EVENTS) -> Ledger:
    """The ledger after an API that gives these answers, one to each request."""
    left = list(answers)

    async def publish(request: Request) -> Response:
        status, body = left.pop(0)
        return Response(msgspec.json.encode(body), status)

    async def run() -> Ledger:
        app = Starlette(routes=[Route("/v1/events", publish, methods=["POST"])])
        ledger, history = Ledger(), OperationHistory(BufferedWriter(io.BytesIO()))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http:
            lane = EventLane(0, http, ledger, history, lambda: False)
            for event in events:
                lane.put(event)
            lane.close()
            await asyncio.wait_for(lane.run(), 60)
        return ledger

    return asyncio.run(run())


def results(*statuses: str) -> dict[str, object]:
    return {"results": [{"index": index, "status": status} for index, status in enumerate(statuses)]}


def test_a_batch_is_sent_until_it_is_accepted() -> None:
    ledger = sent([(503, {}), (429, {}), (200, results("sent", "sent", "sent"))])
    assert list(ledger.events) == ["e-0", "e-1", "e-2"]
    assert (ledger.sent_again, ledger.misjudged, ledger.listeners) == (6, set(), {"user-1"})
    # A 503 leaves it open whether later ones were taken before them.
    assert {one.order for one in ledger.events.values()} == {None}


def test_what_is_kept_on_disk_is_accepted_in_its_order() -> None:
    ledger = sent([(202, results("kept", "sent", "kept"))])
    assert [one.order for one in ledger.events.values()] == [0, 1, 2]


@pytest.mark.parametrize(
    "body", [{}, {"results": []}, results("sent", "sent"), results("sent", "sent", "sent", "sent")]
)
def test_an_answer_that_does_not_name_each_event_is_misjudged(body: object) -> None:
    ledger = sent([(200, body)])
    assert ledger.misjudged == {"e-0", "e-1", "e-2"}
    assert not ledger.events


def test_a_good_event_that_is_refused_and_a_bad_one_that_is_taken_are_misjudged() -> None:
    bad = [SentEvent("b-0", "user-1", b"{}", is_good=False), SentEvent("b-1", "user-1", b"{}", is_good=False)]
    ledger = sent([(207, results("sent", "refused", "sent", "refused", "kept"))], [*EVENTS, *bad])
    assert ledger.misjudged == {"e-1", "b-1"}
    assert (list(ledger.events), ledger.refused) == (["e-0", "e-2"], {"b-0"})
    assert sent([(403, {})]).misjudged == {"e-0", "e-1", "e-2"}
