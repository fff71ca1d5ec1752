"""A Kafka client of single frames, for what no real client would send; and what real clients need to sign in."""

import asyncio
import struct
from typing import Any

from kio.index import load_response_schema
from kio.schema.sasl_authenticate.v1 import SaslAuthenticateRequest
from kio.schema.sasl_handshake.v1 import SaslHandshakeRequest
from kio.serial import entity_reader, entity_writer
from kio.static.protocol import Payload

DEADLINE = 60.0
CONNECTION_STRING = (
    "Endpoint=sb://127.0.0.1;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;"
    "UseDevelopmentEmulator=true"
)


def aiokafka_options(bootstrap: str, password: str = CONNECTION_STRING) -> dict[str, Any]:
    return {
        "bootstrap_servers": bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "$ConnectionString",
        "sasl_plain_password": password,
    }


def confluent_options(bootstrap: str, password: str = CONNECTION_STRING) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "$ConnectionString",
        "sasl.password": password,
    }


def read_response(frame: bytes, api_key: int, version: int) -> tuple[Any, Any]:
    """The header and the response of a frame, which has no byte but theirs.

    Optional fields that hold nothing are not written, as Kafka does: not every client can skip them.
    """
    schema = load_response_schema(api_key, version)
    header, at = entity_reader(schema.__header_schema__)(frame, 0)
    response, size = entity_reader(schema)(frame, at)
    assert at + size == len(frame)
    written = _Bytes()
    entity_writer(schema.__header_schema__)(written, header)  # type: ignore[arg-type] # all that a writer does is write
    entity_writer(schema)(written, response)  # type: ignore[arg-type] # likewise
    assert bytes(written.data) == frame, f"API {api_key} version {version} has more than it needs"
    return header, response


class RawClient:
    """One connection on which requests are written as they are given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._correlation = 0

    @classmethod
    async def connect(cls, port: int, *, sign_in: bool = True, password: str = CONNECTION_STRING) -> "RawClient":
        client = cls(*await asyncio.open_connection("127.0.0.1", port, limit=64 << 20))
        if sign_in:
            await client.call(SaslHandshakeRequest(mechanism="PLAIN"))
            token = f"\0$ConnectionString\0{password}".encode()
            response = await client.call(SaslAuthenticateRequest(auth_bytes=token))
            assert response.error_code == 0
        return client

    async def call(self, request: Payload) -> Any:
        """The answer to a request, in the request's version."""
        self.send(request)
        return await self.receive(request)

    def send(self, request: Payload, api_version: int | None = None) -> None:
        self._correlation += 1
        version = request.__version__ if api_version is None else api_version
        body = _Bytes()
        header: Any = request.__header_schema__
        head = header(
            request_api_key=request.__api_key__,
            request_api_version=version,
            correlation_id=self._correlation,
            client_id="raw",
        )
        entity_writer(type(head))(body, head)  # type: ignore[arg-type] # all that a writer does is write
        entity_writer(type(request))(body, request)  # type: ignore[arg-type] # likewise
        self.send_frame(bytes(body.data))

    def send_frame(self, frame: bytes) -> None:
        self.writer.write(struct.pack(">i", len(frame)) + frame)

    async def receive(self, request: Payload, version: int | None = None) -> Any:
        """The next answer, read as one to `request`; its correlation id must be that of the last one or before."""
        header, response = read_response(
            await self.receive_frame(), request.__api_key__, request.__version__ if version is None else version
        )
        assert header.correlation_id <= self._correlation
        return response

    async def receive_frame(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            (size,) = struct.unpack(">i", await self.reader.readexactly(4))
            return await self.reader.readexactly(size)

    async def closed(self) -> bool:
        """Whether the other side has closed, and said nothing before."""
        async with asyncio.timeout(DEADLINE):
            return not await self.reader.read(1)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


class _Bytes:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)
