"""Answers to errors that nobody foresaw: a problem that tells nothing of the inside, and the traceback in the log."""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from songline.projections.http.problems import Problem, answer
from songline.schemas.refusal_note import FAULT, note_of

INTERNAL = Problem("Internal error", 500, "The fault is ours; the log has the cause.")

logger = logging.getLogger(__name__)


class FaultAnswers:
    """Answers what `app` raises with INTERNAL, so that the layers before this one complete it as any other answer.

    An answer that has begun can't be replaced. Its error goes on to the server, which logs it and cuts the connection:
    the client sees that the answer is not whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_begun = False

        async def begun(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, begun)
        except ClientDisconnect:
            # Nobody is there to be answered.
            return
        except Exception as error:
            if is_begun:
                raise
            record_fault(scope, error)
            await answer(INTERNAL)(scope, receive, send)


def record_fault(scope: Mapping[str, Any], error: Exception) -> None:
    """Log `error`, and note that the request failed by it. No address is logged: it may have a token in its query."""
    note = note_of(scope)
    note.reason = FAULT
    logger.error("%s: internal error", note.operation or scope["method"], exc_info=error)
