"""A partition's writes are repeated until they are done, and its health says what they wait for."""

import asyncio

import pytest
from azure.core.exceptions import AzureError
from azure.cosmos.exceptions import CosmosHttpResponseError

from songline.processors.runtime.persistent_retry import PersistentRetry
from songline.processors.runtime.service_errors import ItemRefusedError
from songline.schemas.progress_report import NotReadyCause
from tests.support.waiting import wait_for


class ThrottledError(CosmosHttpResponseError):
    """429, with when to come again, as the SDK has it on an answer of its own."""

    def __init__(self, after_ms: str) -> None:
        super().__init__(status_code=429, message="Request rate is large")  # type: ignore[no-untyped-call]  # the SDK annotates nothing there
        self.headers = {"x-ms-retry-after-ms": after_ms}


async def test_it_comes_again_when_it_was_told_to_and_not_before() -> None:
    retries, loop = PersistentRetry("partition 2"), asyncio.get_running_loop()
    refusals = [ThrottledError("400"), AzureError("away")]
    tried: list[float] = []

    async def job() -> None:
        tried.append(loop.time())
        if refusals:
            raise refusals.pop(0)

    await retries.run(job)
    assert len(tried) == 3
    assert tried[1] - tried[0] >= 0.4
    assert retries.failing_for_s() == 0


async def test_it_says_for_how_long_and_for_what_it_waits() -> None:
    now = 100.0
    retries = PersistentRetry("partition 2", lambda: now)

    async def job() -> None:
        raise AzureError("Cosmos DB is away\nand more of it")

    trying = asyncio.create_task(retries.run(job))
    await asyncio.to_thread(wait_for, lambda: retries.trouble, "the first failure")
    now = 130.0
    assert retries.failing_for_s() == 30
    assert retries.trouble == "AzureError: Cosmos DB is away"
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying


async def test_what_is_no_outage_is_not_tried_again() -> None:
    async def job() -> None:
        raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="a mistake of ours"):
        await PersistentRetry("partition 2").run(job)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (AzureError("no route to host"), NotReadyCause.SERVICE_AWAY),
        (CosmosHttpResponseError(status_code=503, message="disk is full"), NotReadyCause.WRITES_REFUSED),  # type: ignore[no-untyped-call]  # as above
        (CosmosHttpResponseError(status_code=403, message="not with this key"), NotReadyCause.ACCESS_DENIED),  # type: ignore[no-untyped-call]  # as above
    ],
)
async def test_it_tells_a_service_that_is_away_from_one_that_refuses(error: AzureError, cause: NotReadyCause) -> None:
    retries, asked = PersistentRetry("partition 2"), [error]

    async def job() -> None:
        if asked:
            raise asked.pop()

    await retries.run(job)
    assert retries.cause is cause
    assert str(error).splitlines()[-1] in retries.trouble


async def test_a_refused_key_is_named_for_the_operator() -> None:
    retries = PersistentRetry("partition 2")
    errors: list[Exception] = [CosmosHttpResponseError(status_code=403, message="no")]  # type: ignore[no-untyped-call]  # as above

    async def job() -> None:
        if errors:
            raise errors.pop()

    await retries.run(job)
    assert "AZURE_COSMOS_CONNECTIONSTRING" in retries.trouble


@pytest.mark.parametrize("status", [400, 413])
async def test_an_item_that_is_refused_is_not_tried_again(status: int) -> None:
    tries = 0

    async def job() -> None:
        nonlocal tries
        tries += 1
        raise CosmosHttpResponseError(status_code=status, message="too large")  # type: ignore[no-untyped-call]  # as above

    with pytest.raises(ItemRefusedError, match="too large"):
        await PersistentRetry("partition 2").run(job, writes_item=True)
    assert tries == 1
