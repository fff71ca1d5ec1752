"""The difference between this machine's clock and a service's, by the dates of its answers over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from songline.cloud.settings import CosmosSettings
from songline.cloud.tls import client_context

# `Date` is cut to the second.
_MEAN_CUT = timedelta(milliseconds=500)


async def measure_skew_s(account: CosmosSettings, now: Callable[[], datetime], timeout_s: float = 5.0) -> float:
    """Seconds by which `now` is ahead of Cosmos DB's clock, to about half a second; negative if behind.

    Raises httpx.HTTPError, and ValueError for an answer without a date.
    """
    tls = client_context(account.authorities)
    async with httpx.AsyncClient(timeout=timeout_s, verify=tls) as client:
        # An answer that refuses is dated as well, so no key is needed.
        before = now()
        answer = await client.get(account.endpoint)
        middle = before + (now() - before) / 2
    if "Date" not in answer.headers:
        raise ValueError(f"{account.endpoint} answered {answer.status_code} without a date")
    answered_at = parsedate_to_datetime(answer.headers["Date"])
    return (middle - answered_at.astimezone(UTC) - _MEAN_CUT).total_seconds()
