"""The topic over HTTP: events in at /api/events, subscriptions at /eventSubscriptions."""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.eventgrid import handshake
from localcloud.eventgrid.access import TopicAccess, TopicAccessError
from localcloud.eventgrid.cloud_events import PublishRefusedError, read_events
from localcloud.eventgrid.dispatcher import Dispatcher
from localcloud.eventgrid.store import EventGridStore
from localcloud.eventgrid.subscription import Subscription, SubscriptionError, read_options
from localcloud.eventgrid.webhook_client import WebhookClient, WebhookError

PATH = "/api/events"
API_VERSION = "2018-01-01"


class TopicApp:
    """Answers publishers and operators whom `access` lets in."""

    def __init__(
        self,
        store: EventGridStore,
        dispatcher: Dispatcher,
        client: WebhookClient,
        access: TopicAccess,
        address: Callable[[], str],
        now_s: Callable[[], float] = time.time,
        *,
        plain_http: bool = True,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._client = client
        self._access = access
        self._address = address
        self._now_s = now_s
        self._plain_http = plain_http

    def asgi(self) -> Starlette:
        return Starlette(
            routes=[
                Route(PATH, self._publish, methods=["POST"]),
                Route("/eventSubscriptions", self._list, methods=["GET"]),
                Route("/eventSubscriptions/{name}", self._subscription, methods=["GET", "PUT", "DELETE"]),
                Route("/validate/{callback}", self._agree, methods=["GET"]),
            ]
        )

    async def _publish(self, request: Request) -> Response:
        if (refusal := self._refused(request, self._access.check_publisher)) is not None:
            return refusal
        version = request.query_params.get("api-version")
        if version != API_VERSION:
            return _error(400, "BadRequest", f"api-version: saw {version!r:.40}, expected {API_VERSION!r}")
        try:
            events = read_events(request.headers.get("content-type", ""), await request.body())
        except PublishRefusedError as error:
            return _error(error.status, error.code, str(error))
        wanted = [one for one in self._store.subscriptions() if one.state == "Succeeded"]
        self._store.publish(
            ((one.name, event.body) for event in events for one in wanted if one.wants(event.type)), self._now_s()
        )
        self._dispatcher.wake()
        return Response(status_code=200)

    async def _list(self, request: Request) -> Response:
        if (refusal := self._refused(request, self._access.check_subscriber)) is not None:
            return refusal
        return JSONResponse({"value": [self._described(one) for one in self._store.subscriptions()]})

    async def _subscription(self, request: Request) -> Response:
        if (refusal := self._refused(request, self._access.check_subscriber)) is not None:
            return refusal
        name = request.path_params["name"]
        known = {one.name: one for one in self._store.subscriptions()}
        if request.method == "PUT":
            return await self._put(name, await request.body())
        if name not in known:
            return _error(404, "ResourceNotFound", f"there is no subscription {name[:80]!r}")
        if request.method == "DELETE":
            self._dispatcher.stop(name)
            self._store.delete_subscription(name)
            return Response(status_code=200)
        return JSONResponse(self._described(known[name]))

    async def _put(self, name: str, body: bytes) -> Response:
        """Ask the webhook whether it takes events, and keep the subscription if it did not refuse."""
        try:
            options = read_options(name, body, plain_http=self._plain_http)
        except SubscriptionError as error:
            return _error(400, "InvalidRequest", str(error))
        callback = secrets.token_urlsafe(32)
        headers = handshake.request_headers(f"{self._address()}/validate/{callback}")
        try:
            answer = await self._client.send("OPTIONS", options.endpoint_url, headers)
        except WebhookError as error:
            return _error(400, "EndpointValidation", f"the webhook did not answer the handshake: {error}")
        state = handshake.agreement(answer)
        if state == "Failed":
            seen = answer.headers.get("webhook-allowed-origin")
            message = (
                f"the webhook does not agree: saw status {answer.status} and WebHook-Allowed-Origin {seen!r:.100}, "
                f"expected 200 and {handshake.ORIGIN} or *"
            )
            return _error(400, "EndpointValidation", message)
        subscription = Subscription(name, options, state, self._now_s())
        self._store.put_subscription(subscription, callback)
        if state == "Succeeded":
            self._dispatcher.start(subscription)
        else:
            self._dispatcher.stop(name)
        return JSONResponse(self._described(subscription), 201)

    async def _agree(self, request: Request) -> Response:
        found = self._store.by_callback(request.path_params["callback"])
        if found is None:
            return _error(404, "ResourceNotFound", "nobody asked by this address")
        agreed = msgspec.structs.replace(found, state="Succeeded")
        # An address that was used agrees to nothing else.
        self._store.put_subscription(agreed, secrets.token_urlsafe(32))
        self._dispatcher.start(agreed)
        return Response(status_code=200)

    def _described(self, subscription: Subscription) -> dict[str, Any]:
        options: dict[str, Any] = msgspec.to_builtins(subscription.options)
        return {
            "name": subscription.name,
            "provisioningState": subscription.state,
            **options,
            "waiting": self._store.count(subscription.name),
        }

    def _refused(self, request: Request, check: Callable[[Mapping[str, str], float], None]) -> Response | None:
        try:
            check(request.headers, self._now_s())
        except TopicAccessError as error:
            return _error(error.status, "Unauthorized" if error.status == 401 else "Forbidden", str(error))
        return None


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
