"""Errors of the Event Hubs SDK as errors of ours, named after what the caller does about them."""

import re

from azure.eventhub.exceptions import EventHubError

from songline.cloud.service_fault import is_transient
from songline.producers.publishing.errors import AccessDeniedError, TransientError

# The SDK says everything twice: its own words, then condition and description of what it was told.
_REPEATED = re.compile(r"\s*\bError(?: condition)?:")


def translate(error: Exception, hub: str, waited_s: float) -> Exception:
    """`error` of the SDK as one of ours; any other error stays as it is."""
    if not isinstance(error, EventHubError):
        return error
    seen = _REPEATED.split(error.message, maxsplit=1)[0].strip()
    if is_transient(error):
        return TransientError(f"{hub}: saw {seen!r} for {waited_s:.0f} s, expected an acknowledgement: try again later")
    return AccessDeniedError(
        f"{hub}: saw {seen!r}, expected to be let in: check the connection string and the hub's name"
    )
