"""What real players are tested with: a player daemon, and a way to Songline for players whose server is fixed."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class MpdStub:
    """A server that speaks as much of MPD's protocol as a scrobbler asks for. `song` plays; None: nothing does.

    Source: MPD protocol 0.23, `currentsong` and `status`.
    """

    def __init__(self) -> None:
        self.song: dict[str, str] | None = None
        self.elapsed_s = 0.0
        self.port = 0
        self._asked: set[str] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["MpdStub"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def was_asked(self) -> bool:
        """Whether a client has been told which song plays, and how far it is."""
        return {"currentsong", "status"} <= self._asked

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"OK MPD 0.23.5\n")
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                command = line.decode().strip()
                writer.write("".join(f"{one}\n" for one in [*self._answer(command), "OK"]).encode())
                await writer.drain()
                self._asked.add(command)
        writer.close()

    def _answer(self, command: str) -> list[str]:
        if self.song is None:
            return ["state: stop"] if command == "status" else []
        if command == "status":
            return ["state: play", f"elapsed: {self.elapsed_s:.3f}"]
        if command == "currentsong":
            return [f"{name}: {value}" for name, value in self.song.items()]
        return []


class HttpsFront:
    """A proxy of HTTP that brings every host it is asked for to one server of this machine, behind TLS.

    `certificate` is the authority's, for the clients to trust; `host` is the one name that is good.
    """

    def __init__(self, folder: Path, host: str, target: tuple[str, int]) -> None:
        self._target = target
        self.certificate = folder / "front.pem"
        key_file = folder / "front.key"
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key_file)
        self.address = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["HttpsFront"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    @property
    def environment(self) -> dict[str, str]:
        """What clients read: httpx, requests and OpenSSL."""
        certificate = str(self.certificate)
        proxies = {"https_proxy": self.address, "all_proxy": "", "no_proxy": ""}
        return {
            **proxies,
            **{name.upper(): value for name, value in proxies.items()},
            "SSL_CERT_FILE": certificate,
            "REQUESTS_CA_BUNDLE": certificate,
        }

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await reader.readuntil(b"\r\n\r\n")  # CONNECT
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await writer.start_tls(self._context)
            inner_reader, inner_writer = await asyncio.open_connection(*self._target)
            await asyncio.gather(_copied(reader, inner_writer), _copied(inner_reader, writer))
        writer.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()
