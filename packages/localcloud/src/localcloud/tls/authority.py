"""The certificate authority of a data folder, made on the first start, and what it signs.

It can sign for this machine's own addresses alone (RFC 5280, name constraints): a client that trusts it trusts no
certificate for any other host, also when the key was stolen.
"""

import fcntl
import os
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.private_file import private_folder, write_private

FOLDER: Final = "tls"
AUTHORITY_LIFETIME: Final = timedelta(days=3650)
LIFETIME: Final = timedelta(days=397)
"""Of a server's certificate: what clients of some systems take at most."""
RENEW_BEFORE: Final = timedelta(days=30)
NAMES: Final = ("localhost",)
ADDRESSES: Final = ("127.0.0.1", "::1")


class AuthorityError(Exception):
    """A file of the authority is damaged. The message names it and says what to do."""


class ServerCertificate(NamedTuple):
    """PEM files: what servers show, its key, and the authority that clients have to trust."""

    certificate: Path
    key: Path
    authority: Path


class _Authority(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure(folder: Path, now: datetime) -> ServerCertificate:
    """The certificate in `folder`, made with its authority where there is none, and again before it expires.

    The authority is made anew only where it is about to expire itself. Raises AuthorityError and OSError.
    """
    private_folder(folder)
    files = ServerCertificate(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    lock = os.open(folder, os.O_RDONLY)
    try:
        # Two that start at once would each have an authority of their own.
        fcntl.flock(lock, fcntl.LOCK_EX)
        authority = _kept_authority(files.authority, folder / "authority-key.pem", now)
        if not _is_good(files, authority, now):
            key = ec.generate_private_key(ec.SECP256R1())
            signed = _server_certificate(authority, key, now)
            write_private(files.key, _pem(key))
            write_private(files.certificate, _certificate_pem(signed) + _certificate_pem(authority.certificate))
    finally:
        os.close(lock)
    return files


def _kept_authority(certificate_file: Path, key_file: Path, now: datetime) -> _Authority:
    if certificate_file.exists() and key_file.exists():
        try:
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            fits = certificate.public_key() == key.public_key()
        except ValueError:
            fits = False
        if not fits or not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(
                f"{certificate_file} and {key_file} are not a certificate and its key: one was changed or damaged; "
                "delete both, and clients have to trust the authority that is made then"
            )
        if certificate.not_valid_after_utc - RENEW_BEFORE > now:
            return _Authority(certificate, key)
    key = ec.generate_private_key(ec.SECP256R1())
    made = _Authority(_authority_certificate(key, now), key)
    write_private(key_file, _pem(key))
    write_private(certificate_file, _certificate_pem(made.certificate))
    return made


def _is_good(files: ServerCertificate, authority: _Authority, now: datetime) -> bool:
    try:
        there = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        there.verify_directly_issued_by(authority.certificate)
    except (FileNotFoundError, InvalidSignature, TypeError, ValueError):
        return False
    return there.public_key() == key.public_key() and there.not_valid_after_utc - RENEW_BEFORE > now


def _authority_certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    # The number tells two authorities of one machine apart in a list of trusted ones.
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"localcloud authority {serial:x}"[:64])])
    permitted = [*map(x509.DNSName, NAMES), *(x509.IPAddress(ip_network(address)) for address in ADDRESSES)]
    return (
        _builder(name, name, key, now, AUTHORITY_LIFETIME, serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(authority: _Authority, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAMES[0])])
    own = [*map(x509.DNSName, NAMES), *(x509.IPAddress(ip_address(address)) for address in ADDRESSES)]
    issuer = authority.certificate
    until = min(LIFETIME, issuer.not_valid_after_utc - now)
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return (
        _builder(name, issuer.subject, key, now, until, x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName(own), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(by, critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lifetime: timedelta,
    serial: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
