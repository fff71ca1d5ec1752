"""Why an event could not be sent: what passes by itself, what the operator must mend."""

import re

from azure.eventhub.exceptions import EventHubError

from songline.cloud.service_fault import is_transient

# The SDK says everything twice: its own words, then condition and description of what it was told.
_REPEATED = re.compile(r"\s*\bError(?: condition)?:")


class TransientError(Exception):
    """The hub could not be reached, or did not take an event, for as long as the publisher is patient.

    The event may be there or not: a connection can break between the hub's write and its answer. Who sends it
    again later risks a duplicate, and nothing else.
    """


class AccessDeniedError(Exception):
    """The hub isn't there, or refuses our credentials or our way of asking. The operator must mend that."""


def translate(error: Exception, hub: str, waited_s: float) -> Exception:
    """`error` of the SDK, named after who must act; any other error stays as it is."""
    if not isinstance(error, EventHubError):
        return error
    seen = _REPEATED.split(error.message, maxsplit=1)[0].strip()
    if is_transient(error):
        return TransientError(f"{hub}: saw {seen!r} for {waited_s:.0f} s, expected an acknowledgement: try again later")
    return AccessDeniedError(
        f"{hub}: saw {seen!r}, expected to be let in: check the connection string and the hub's name"
    )
