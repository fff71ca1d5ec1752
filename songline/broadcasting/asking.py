"""Asks what keeps the subscriptions, and ends a command where it gives no answer."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

import httpx

from songline.broadcasting.subscriptions import SubscriptionRefusedError, SubscriptionsUnreachableError
from songline.cloud.settings import SettingError
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError
from songline.sending.exits import CommandError, ExitCode

T = TypeVar("T")
_document = Decoder(dict[str, Any], "not-an-answer")


async def ask(
    http: httpx.AsyncClient, method: str, path: str, absent: Collection[int], **request: Any
) -> tuple[httpx.Response, dict[str, Any]] | None:
    """The answer with its document, None where its status is one of `absent`. Raises SubscriptionsUnreachableError."""
    try:
        answer = await http.request(method, path, **request)
    except httpx.HTTPError as error:
        raise SubscriptionsUnreachableError(f"{http.base_url}: {type(error).__name__}: {error}") from None
    if answer.status_code in absent:
        return None
    try:
        return answer, _document.decode(answer.content) if answer.content else {}
    except PoisonError as error:
        raise SubscriptionsUnreachableError(f"{http.base_url}: {error}") from None


def run_asking(asking: Coroutine[Any, Any, T]) -> T:
    """What `asking` returns. Raises CommandError with the exit code of what went wrong."""
    try:
        return asyncio.run(asking)
    except SettingError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except SubscriptionRefusedError as error:
        raise CommandError(str(error), ExitCode.REFUSED) from None
    except SubscriptionsUnreachableError as error:
        raise CommandError(str(error), ExitCode.UNREACHABLE) from None
