"""The handshake of CloudEvents: a webhook says that it takes events, before any is sent to it.

Source: "HTTP 1.1 Web Hooks for Event EventDelivery" of the CloudEvents project, section 4, which Event Grid keeps to.
"""

from typing import Literal

from localcloud.eventgrid.webhook_client import WebhookAnswer

ORIGIN = "eventgrid.azure.net"

Agreement = Literal["Succeeded", "AwaitingManualAction", "Failed"]


def request_headers(callback: str) -> dict[str, str]:
    """The headers of the OPTIONS request; a GET of `callback` agrees later."""
    return {"WebHook-Request-Origin": ORIGIN, "WebHook-Request-Callback": callback}


def agreement(answer: WebhookAnswer) -> Agreement:
    """What an answer means: it allows our origin or any; it is of a webhook that will answer by the callback; or it
    does not agree."""
    if not 200 <= answer.status <= 204:
        return "Failed"
    allowed = answer.headers.get("webhook-allowed-origin")
    if allowed is None:
        return "AwaitingManualAction"
    return "Succeeded" if allowed.strip() in ("*", ORIGIN) else "Failed"
