"""What a worker waits for before it begins is in its report."""

import asyncio

from azure.cosmos.exceptions import CosmosHttpResponseError

from songline.processors.runtime.readiness import Readiness
from songline.schemas.progress_report import NotReadyCause, NotReadyReason
from tests.support.waiting import wait_for


async def test_what_a_service_says_is_told_while_it_is_waited_for() -> None:
    readiness = Readiness()

    async def look() -> None:
        raise CosmosHttpResponseError(status_code=403, message="not with this key")  # type: ignore[no-untyped-call]  # the SDK annotates nothing there

    readiness.say("libraries are converted")
    waiting = asyncio.create_task(readiness.wait_for(look))

    def refused() -> NotReadyReason | None:
        (found,) = readiness.reasons("library")
        return found if found.cause is NotReadyCause.ACCESS_DENIED else None

    reason = await asyncio.to_thread(wait_for, refused, "what the service says")
    waiting.cancel()
    assert reason is not None
    assert reason.sentence == "waiting: CosmosHttpResponseError: not with this key"
