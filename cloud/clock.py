"""The difference between this machine's clock and a service's, by the dates of its answers over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from aiohttp import ClientError, ClientSession, ClientTimeout

from songline.cloud.settings import CosmosSettings
from songline.cloud.tls import client_context

# `Date` is cut to the second.
_MEAN_CUT = timedelta(milliseconds=500)


async def measure_skew_s(account: CosmosSettings, now: Callable[[], datetime], timeout_s: float = 5.0) -> float:
    """Seconds by which `now` is ahead of Cosmos DB's clock, to about half a second; negative if behind.

    Raises OSError where there is no answer, and ValueError for an answer without a date.
    """
    tls = client_context(account.authorities)
    try:
        async with ClientSession(timeout=ClientTimeout(timeout_s), trust_env=True) as client:
            # An answer that refuses is dated as well, so no key is needed.
            before = now()
            async with client.get(account.endpoint, ssl=tls, allow_redirects=False) as answer:
                middle = before + (now() - before) / 2
    except ClientError as error:
        raise OSError(f"{account.endpoint} does not answer: {error}") from error
    if "Date" not in answer.headers:
        raise ValueError(f"{account.endpoint} answered {answer.status} without a date")
    answered_at = parsedate_to_datetime(answer.headers["Date"])
    return (middle - answered_at.astimezone(UTC) - _MEAN_CUT).total_seconds()
