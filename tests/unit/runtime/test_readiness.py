"""What a worker waits for before it begins is in its report."""

import asyncio

from azure.cosmos.exceptions import CosmosHttpResponseError

from songline.processors.runtime.readiness import Readiness
from songline.schemas.progress_report import NotReadyCause


async def test_what_a_service_says_is_told_while_it_is_waited_for() -> None:
    readiness, asked = Readiness(), asyncio.Event()

    async def look() -> None:
        asked.set()
        raise CosmosHttpResponseError(status_code=403, message="not with this key")  # type: ignore[no-untyped-call]  # the SDK annotates nothing there

    readiness.say("libraries are converted")
    waiting = asyncio.create_task(readiness.wait_for(look))
    await asked.wait()
    await asyncio.sleep(0)
    (reason,) = readiness.reasons("library")
    waiting.cancel()
    assert reason.cause is NotReadyCause.ACCESS_DENIED
    assert reason.sentence == "waiting: CosmosHttpResponseError: not with this key"
