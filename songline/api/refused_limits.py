"""The layer that counts what other layers refuse, and tells in each answer what its caller has left."""

from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from songline.api.refusals import refusal
from songline.api.request_account import ACCOUNT, UNCOUNTED, RequestAccounts, with_account
from songline.producers.http.caller_admission import GUESS
from songline.producers.http.problems import RequestDeclinedError
from songline.projections.http.headers import changing_headers

_OF_ORIGINS = (b"access-control-", b"vary")
"""Headers by which a page of another origin may read an answer."""


class RefusedLimits:
    """Counts each request that CallerLimits has not counted when it is answered, and stands before all that refuses.

    A request whose token is refused counts against its address, which gets 429 in place of the answer once it has sent
    too many: good tokens from there go on. One whose token is good and does not allow it counts against its caller.
    """

    def __init__(self, app: ASGIApp, accounts: RequestAccounts) -> None:
        self._app, self._accounts = app, accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state[GUESS] = partial(self._count, scope)
        is_replaced = False

        async def counted(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start":
                try:
                    if _counts(scope, message["status"]):
                        self._count(scope)
                    await with_account(send, state)(message)
                except RequestDeclinedError as error:
                    is_replaced = True
                    kept = [one for one in message["headers"] if one[0].lower().startswith(_OF_ORIGINS)]
                    sending = changing_headers(with_account(send, state), lambda others: [*others, *kept])
                    await refusal(error)(scope, receive, sending)
            elif not is_replaced:
                await send(message)

        await self._app(scope, receive, counted)

    def _count(self, scope: Scope) -> None:
        """Count the request once; raises RequestDeclinedError."""
        if ACCOUNT not in scope["state"]:
            self._accounts.open(scope)


def _counts(scope: Scope, status: int) -> bool:
    """Whether an answer of this status counts: a preflight does not, and of what is not counted only a refusal does."""
    if UNCOUNTED.match(scope["path"]):
        return status in (401, 403)
    return scope["method"] != "OPTIONS" or status >= 400
