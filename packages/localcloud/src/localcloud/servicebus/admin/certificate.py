"""The certificate of the HTTPS endpoint: made on first start, and good for this machine's own addresses alone."""

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.private_file import write_private

LIFETIME = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)
NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")


class Certificate(NamedTuple):
    """PEM files; clients are told to trust `certificate`, which is its own authority."""

    certificate: Path
    key: Path


def ensure(folder: Path, now_ms: datetime) -> Certificate:
    """The certificate in `folder`, made when there is none or it is about to expire. Raises OSError."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    folder.mkdir(parents=True, exist_ok=True)
    if made.certificate.exists() and made.key.exists():
        there = x509.load_pem_x509_certificate(made.certificate.read_bytes())
        if there.not_valid_after_utc - RENEW_BEFORE > now_ms:
            return made
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(made.key, pem)
    write_private(made.certificate, _signed(key, now_ms).public_bytes(serialization.Encoding.PEM))
    return made


def _signed(key: ec.EllipticCurvePrivateKey, now_ms: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localcloud")])
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now_ms - timedelta(days=1))
        .not_valid_after(now_ms + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, NAMES), *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
