"""How long the write API waits for a service, and what it says where no answer comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from azure.core.exceptions import AzureError

from songline.producers.publishing.errors import TransientError
from songline.schemas.errors import PoisonError
from songline.schemas.projections import DamagedVersionError


@asynccontextmanager
async def answering(service: str, patience_s: float, expected: str) -> AsyncIterator[None]:
    """Limit the requests to `service` in the block to `patience_s` seconds, because SDKs retry for minutes.

    `expected` is what was to come of them. Raises TransientError for an answer that does not come, is an error, or
    can't be understood.
    """
    try:
        async with asyncio.timeout(patience_s):
            yield
    except TimeoutError:
        raise TransientError(
            f"{service} gave no answer within {patience_s:g} s, expected one: try again later"
        ) from None
    except AzureError as error:
        raise TransientError(f"{service}: saw {type(error).__name__}, expected {expected}") from error
    except DamagedVersionError as error:
        raise TransientError(str(error)) from None
    except PoisonError as poison:
        raise TransientError(
            f"{service}: saw a document that can't be understood ({poison}), expected one of ours"
        ) from None
