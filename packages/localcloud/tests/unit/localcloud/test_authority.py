"""The authority of a data folder: made once, believed for this machine alone, renewed before it ends."""

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.tls import authority
from localcloud.tls.authority import AuthorityError, ServerCertificate
from localcloud.tls.context import server_context

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@asynccontextmanager
async def serving(tls: ssl.SSLContext) -> AsyncIterator[int]:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def connect(port: int, trusted: Path, name: str) -> None:
    context = ssl.create_default_context(cafile=trusted)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    writer.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "::1"])
async def test_a_client_that_trusts_the_authority_connects_by_every_name_of_this_machine(
    tmp_path: Path, name: str
) -> None:
    files = authority.ensure(tmp_path, datetime.now(UTC))
    async with serving(server_context(files)) as port:
        await connect(port, files.authority, name)


async def test_a_client_that_trusts_another_authority_does_not_connect(tmp_path: Path) -> None:
    files = authority.ensure(tmp_path / "one", datetime.now(UTC))
    other = authority.ensure(tmp_path / "other", datetime.now(UTC))
    async with serving(server_context(files)) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, other.authority, "localhost")


async def test_a_stolen_key_of_the_authority_opens_no_other_host(tmp_path: Path) -> None:
    files = authority.ensure(tmp_path, datetime.now(UTC))
    stolen = serialization.load_pem_private_key((tmp_path / "authority-key.pem").read_bytes(), None)
    assert isinstance(stolen, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(files.authority.read_bytes())
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(stolen.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=True)
        .sign(stolen, hashes.SHA256())
    )
    forged = tmp_path / "forged.pem"
    forged.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    shown = ServerCertificate(forged, tmp_path / "authority-key.pem", files.authority)
    async with serving(server_context(shown)) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
            await connect(port, files.authority, "bank.example")


def test_it_is_made_once_and_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    files = authority.ensure(folder, NOW)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert authority.ensure(folder, NOW + timedelta(days=300)) == files
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in before} == {0o600}


def test_a_servers_certificate_is_renewed_under_the_same_authority(tmp_path: Path) -> None:
    files = authority.ensure(tmp_path, NOW)
    trusted, shown = files.authority.read_bytes(), files.certificate.read_bytes()
    authority.ensure(tmp_path, NOW + authority.LIFETIME - timedelta(days=29))
    assert files.authority.read_bytes() == trusted
    assert files.certificate.read_bytes() != shown


def test_an_authority_about_to_end_is_made_anew_with_all_that_it_signed(tmp_path: Path) -> None:
    files = authority.ensure(tmp_path, NOW)
    later = NOW + authority.AUTHORITY_LIFETIME - timedelta(days=29)
    trusted = files.authority.read_bytes()
    authority.ensure(tmp_path, later)
    assert files.authority.read_bytes() != trusted
    issuer = x509.load_pem_x509_certificate(files.authority.read_bytes())
    x509.load_pem_x509_certificate(files.certificate.read_bytes()).verify_directly_issued_by(issuer)


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_what_the_authority_signed_is_signed_again_where_it_is_damaged(tmp_path: Path, name: str) -> None:
    files = authority.ensure(tmp_path, NOW)
    (tmp_path / name).write_text("nothing")
    authority.ensure(tmp_path, NOW)
    server_context(files)


@pytest.mark.parametrize("name", ["authority.pem", "authority-key.pem"])
def test_a_damaged_authority_is_named(tmp_path: Path, name: str) -> None:
    authority.ensure(tmp_path, NOW)
    authority.ensure(tmp_path / "other", NOW)
    for content in (b"nothing", (tmp_path / "other" / name).read_bytes()):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AuthorityError, match=r"authority\.pem and .*authority-key\.pem .* delete both"):
            authority.ensure(tmp_path, NOW)
