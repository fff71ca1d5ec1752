"""One client's connection: requests in, responses out in the order of the requests."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from datetime import timedelta
from struct import Struct
from typing import Any, NoReturn, cast

from kio.schema.errors import ErrorCode
from kio.schema.produce.v9 import ProduceResponse
from kio.schema.sasl_authenticate.v2 import SaslAuthenticateRequest, SaslAuthenticateResponse
from kio.schema.sasl_handshake.v1 import SaslHandshakeRequest, SaslHandshakeResponse
from kio.static.primitive import i64Timedelta
from kio.static.protocol import Entity

from localcloud.faults import DelayFault, DropFault, Faults, LoseFault
from localcloud.kafka import codec, sasl
from localcloud.kafka.api_table import API_VERSIONS, PRODUCE, SASL_AUTHENTICATE, SASL_HANDSHAKE, Api, ApiTable
from localcloud.kafka.codec import RequestPrefix
from localcloud.kafka.errors import ProtocolError
from localcloud.kafka.namespace import KafkaClient
from localcloud.sas import CredentialError, Keys

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 16 << 20
MAX_FRAME_BYTES_BEFORE_SASL = 64 << 10
MAX_IN_FLIGHT = 64
"""Requests of one connection that are handled at a time; further ones wait in the socket."""
IDLE_SECONDS = 240.0
"""Azure closes connections that have been silent for that long."""
CLOSE_SECONDS = 1.0
_LENGTH = Struct(">i")
_NO_LIFETIME = cast(i64Timedelta, timedelta())


class KafkaConnection:
    """Serves one connection until either side ends it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, apis: ApiTable, keys: Keys, faults: Faults
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._apis = apis
        self._keys = keys
        self._faults = faults
        peer = writer.get_extra_info("peername") or ("?", 0)
        self._peer = f"{peer[0]}:{peer[1]}"
        self._client = KafkaClient("", peer[0], None)
        self._handshake_version: int | None = None
        self._mechanism = sasl.PLAIN
        self._authenticated = False
        self._expires_s: float | None = None
        self._responses: asyncio.Queue[tuple[RequestPrefix, asyncio.Task[Entity | _NoResponse]]] = asyncio.Queue(
            MAX_IN_FLIGHT
        )

    async def serve(self) -> None:
        answering = asyncio.create_task(self._send_responses())
        reading = asyncio.create_task(self._read_requests())
        try:
            await asyncio.wait((answering, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writer.close()  # responses that were written are still sent
            for task in (reading, answering):
                task.cancel()
            results = await asyncio.gather(reading, answering, return_exceptions=True)
            while not self._responses.empty():
                self._responses.get_nowait()[1].cancel()
            await self._wait_closed()
        for result in results:
            self._log_end(result)

    async def _wait_closed(self) -> None:
        """Wait until the last responses are sent, at most `CLOSE_SECONDS`: a client may not read them."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    def _log_end(self, result: BaseException | None) -> None:
        match result:
            case ProtocolError():
                log.warning("kafka %s: closed: %s", self._peer, result)
            case None | asyncio.CancelledError() | asyncio.IncompleteReadError() | OSError():
                pass
            case _:
                log.error("kafka %s: closed: unexpected error", self._peer, exc_info=result)

    # Requests.

    async def _read_requests(self) -> None:
        while True:
            frame = await self._frame()
            if self._handshake_version == 0 and not self._authenticated:
                await self._raw_token(frame)
                continue
            prefix = codec.prefix_of(frame)
            api = self._apis.by_version.get((prefix.api_key, prefix.api_version))
            if api is None:
                self._unsupported(prefix)
            elif api.handle is None or not self._authenticated:
                await self._sign_in(prefix, api, frame)
            else:
                await self._check_expiry()
                client_id, request = codec.decode(frame, prefix, api.canonical)
                client = self._client if client_id == self._client.id else self._client._replace(id=client_id or "")
                self._client = client
                fault = self._faults.next("kafka", *self._fault_subject(api, request))
                match fault:
                    case DropFault():
                        self._abort()
                    case DelayFault(ms=ms):
                        await asyncio.sleep(ms / 1000)
                # Tasks start in the order of their creation, so that appends of one connection keep theirs.
                task = asyncio.create_task(_response_to(api, client, request, prefix.api_version))
                if isinstance(fault, LoseFault):
                    task = asyncio.create_task(self._withhold_response(task))
                await self._responses.put((prefix, task))

    async def _check_expiry(self) -> None:
        """End the connection of a client whose token is over and that has not signed in again (KIP-368)."""
        if self._expires_s is None or time.time() < self._expires_s:
            return
        # What came before is answered, so that no client sends it a second time.
        await self._responses.join()
        raise ProtocolError("the token has expired, and the client has not signed in again")

    def _fault_subject(self, api: Api, request: Any) -> tuple[str, ...]:
        """The API's name in the protocol, and what the request is about: hubs and a group."""
        name = api.canonical.__name__.removesuffix("Request")
        return name, *self._apis.hub_names(request), getattr(request, "group_id", "")

    async def _withhold_response(self, answer: "asyncio.Task[Entity | _NoResponse]") -> NoReturn:
        await answer
        self._abort()

    def _abort(self) -> NoReturn:
        self._writer.transport.abort()
        raise ProtocolError("a fault that was asked for")

    async def _frame(self) -> bytes:
        idle = asyncio.timeout(IDLE_SECONDS)
        try:
            async with idle:
                head = await self._reader.readexactly(4)
        except TimeoutError:
            raise ProtocolError(
                f"nothing came for {IDLE_SECONDS:.0f} s; set connections.max.idle.ms to 180000 in the client"
            ) from None
        (size,) = _LENGTH.unpack(head)
        limit = MAX_FRAME_BYTES if self._authenticated else MAX_FRAME_BYTES_BEFORE_SASL
        if not 0 <= size <= limit:
            raise ProtocolError(f"a frame of {size} bytes; at most {limit} are taken. Does the client speak TLS?")
        return await self._reader.readexactly(size)

    def _unsupported(self, prefix: RequestPrefix) -> None:
        if prefix.api_key != API_VERSIONS:
            raise ProtocolError(f"API {prefix.api_key} version {prefix.api_version} is not supported")
        # Version 0 is what every client can read (KIP-511); it then asks again in a version that we have.
        self._send(codec.encode(prefix, self._apis.versions(ErrorCode.unsupported_version), api_version=0))

    async def _sign_in(self, prefix: RequestPrefix, api: Api, frame: bytes) -> None:
        """Answer in place what a client sends before it is signed in: versions, mechanism, credential."""
        client_id, request = codec.decode(frame, prefix, api.canonical)
        self._client = self._client._replace(id=client_id or "")
        response: Entity
        failed = False
        if prefix.api_key == API_VERSIONS:
            response = self._apis.versions()
        elif prefix.api_key == SASL_HANDSHAKE:
            response = self._handshake(request, prefix.api_version)
        elif prefix.api_key == SASL_AUTHENTICATE:
            response = self._authenticate(request)
            failed = not self._authenticated
        else:
            raise ProtocolError(f"API {prefix.api_key} before authentication")
        await self._responses.join()
        self._send(codec.encode(prefix, response))
        await self._writer.drain()
        if failed:
            raise ProtocolError("authentication failed")

    def _handshake(self, request: SaslHandshakeRequest, version: int) -> SaslHandshakeResponse:
        if request.mechanism not in sasl.MECHANISMS:
            log.warning("kafka %s: asked for SASL mechanism %r", self._peer, request.mechanism)
            return SaslHandshakeResponse(error_code=ErrorCode.unsupported_sasl_mechanism, mechanisms=sasl.MECHANISMS)
        self._handshake_version = version
        self._mechanism = request.mechanism
        return SaslHandshakeResponse(error_code=ErrorCode.none, mechanisms=sasl.MECHANISMS)

    def _authenticate(self, request: SaslAuthenticateRequest) -> SaslAuthenticateResponse:
        if self._handshake_version is None:
            raise ProtocolError("SaslAuthenticate before SaslHandshake")
        error = self._check(request.auth_bytes)
        return SaslAuthenticateResponse(
            error_code=error,
            error_message=None if error is ErrorCode.none else "Authentication failed.",
            auth_bytes=b"",
            session_lifetime=self._lifetime(),
        )

    def _lifetime(self) -> i64Timedelta:
        """For how long the client need not sign in again; nothing where that is for ever."""
        if self._expires_s is None:
            return _NO_LIFETIME
        return cast(i64Timedelta, timedelta(milliseconds=max(1, round((self._expires_s - time.time()) * 1000))))

    async def _raw_token(self, token: bytes) -> None:
        """After SaslHandshake version 0 tokens are framed by their length alone."""
        if self._check(token) is not ErrorCode.none:
            raise ProtocolError("authentication failed")
        self._send([_LENGTH.pack(0)])
        await self._writer.drain()

    def _check(self, token: bytes) -> ErrorCode:
        try:
            found = sasl.authenticate(self._keys, self._mechanism, token, time.time())
        except CredentialError as error:
            log.warning("kafka %s: %s", self._peer, error)
            self._authenticated = False
            return ErrorCode.sasl_authentication_failed
        self._client = self._client._replace(entity=found.entity, rights_at=found.rights_at)
        self._expires_s = found.expires_s
        self._authenticated = True
        return ErrorCode.none

    # Answers.

    async def _send_responses(self) -> None:
        while True:
            prefix, task = await self._responses.get()
            try:
                response = await task
            except asyncio.CancelledError:
                task.cancel()
                raise
            if isinstance(response, _NoResponse):
                response.check()
            else:
                self._send(codec.encode(prefix, response))
                await self._writer.drain()
            self._responses.task_done()

    def _send(self, pieces: list[bytes]) -> None:
        self._writer.writelines(pieces)


class _NoResponse:
    """Stands for the response to a Produce with acks=0, which has none: a failure ends the connection instead."""

    def __init__(self, response: ProduceResponse) -> None:
        self._response = response

    def check(self) -> None:
        for topic in self._response.responses:
            for part in topic.partition_responses:
                if part.error_code is not ErrorCode.none:
                    raise ProtocolError(
                        f"Produce with acks=0 to {topic.name}/{part.index} failed: {part.error_code.name} "
                        f"{part.error_message or ''}"
                    )


async def _response_to(api: Api, client: KafkaClient, request: Any, version: int) -> Entity | _NoResponse:
    assert api.handle is not None
    response = api.handle(client, request, version)
    if isinstance(response, Awaitable):
        response = await response
    if api.key == PRODUCE and request.acks == 0:
        assert isinstance(response, ProduceResponse)
        return _NoResponse(response)
    return response
